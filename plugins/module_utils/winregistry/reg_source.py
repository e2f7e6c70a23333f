# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files as the source of a layer: their operations become a delta for each hive.

The files name keys as a Windows user sees them. This module maps them to hives: CurrentControlSet
to the control set that Windows would start with, the current user to the Default user, whose settings new users
get, and classes to those of HKEY_LOCAL_MACHINE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..common.errors import InvalidInput
from . import upcase
from .delta import Delta
from .delta_builder import DeltaBuilder
from .hive_model import Hive
from .reg_text import CreateKey, DeleteKey, Operation, SetValue
from .registry_values import current_control_set

_HINT = (
    "Use keys of HKEY_LOCAL_MACHINE\\SYSTEM, HKEY_LOCAL_MACHINE\\SOFTWARE, HKEY_CLASSES_ROOT, HKEY_USERS\\.DEFAULT "
    "and HKEY_CURRENT_USER (for new users)."
)
_CLASSES_HINT = "Use HKEY_CLASSES_ROOT instead: the own classes of a new user are empty."
_NO_HIVE_HINT = "Remove the key from the file, or use an OS layer that has this hive."
_SHORT = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKCR": "HKEY_CLASSES_ROOT", "HKU": "HKEY_USERS"}
# The first names of a path, the hive that they lead to, and the key in that hive.
_LOCATIONS: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    (("HKEY_LOCAL_MACHINE", "SYSTEM"), "SYSTEM", ()),
    (("HKEY_LOCAL_MACHINE", "SOFTWARE"), "SOFTWARE", ()),
    (("HKEY_CLASSES_ROOT",), "SOFTWARE", ("Classes",)),
    (("HKEY_USERS", ".DEFAULT"), "DEFAULT", ()),
    (("HKEY_USERS", "S-1-5-18"), "DEFAULT", ()),
    (("HKEY_CURRENT_USER",), "NTUSER.DAT", ()),
)
_MOUNTS = {
    "SYSTEM": ("\\REGISTRY\\MACHINE\\SYSTEM",),
    "SOFTWARE": ("\\REGISTRY\\MACHINE\\SOFTWARE",),
    "DEFAULT": ("\\REGISTRY\\USER\\.DEFAULT", "\\REGISTRY\\USER\\S-1-5-18"),
    "NTUSER.DAT": (),
}


def locate(path: str) -> tuple[str, list[str]] | None:
    """Return the hive of the key ``path`` (HKEY_...) and the names below its root; None if layers have no such hive."""
    names = [name for name in path.split("\\") if name]
    folded = [upcase.WINDOWS.fold(name) for name in names]
    if folded:
        folded[0] = _SHORT.get(folded[0], folded[0])
    for start, hive, below in _LOCATIONS:
        if tuple(folded[: len(start)]) == start:
            return hive, [*below, *names[len(start) :]]
    return None


def deltas_from_operations(
    operations: Iterable[Operation],
    bases: Mapping[str, Hive],
    *,
    source: str = "The .reg file",
    last_written: int | None = None,
) -> dict[str, Delta]:
    """Return the deltas, by hive name, of applying ``operations`` in order to the hives ``bases`` (by name, see hive_names).

    ``last_written`` is the FILETIME that the keys get.

    Raises:
        InvalidInput: a layer cannot contain the key of an operation, or its hive is not in ``bases``. The message
            names ``source`` and the line.
    """
    builders: dict[str, DeltaBuilder] = {}
    for operation in operations:
        location = locate(operation.path)
        if location is None:
            raise _refused(source, operation, "layers cannot contain this key", _HINT)
        hive, names = location
        folded = [upcase.WINDOWS.fold(name) for name in names[:2]]
        if hive == "NTUSER.DAT" and folded == ["SOFTWARE", "CLASSES"]:
            raise _refused(source, operation, "it belongs to the classes of a single user", _CLASSES_HINT)
        base = bases.get(hive)
        if base is None:
            raise _refused(source, operation, f"the OS layer has no hive {hive}", _NO_HIVE_HINT)
        if hive not in builders:
            aliases = {"CURRENTCONTROLSET": current_control_set(base).name} if hive == "SYSTEM" else {}
            builders[hive] = DeltaBuilder(hive, base, mounts=_MOUNTS[hive], aliases=aliases, last_written=last_written)
        try:
            _do(builders[hive], operation, "\\".join(names))
        except InvalidInput as error:
            raise _refused(source, operation, error.message.rstrip("."), error.hint) from error
    return {hive: builder.finish() for hive, builder in builders.items()}


def _do(builder: DeltaBuilder, operation: Operation, path: str) -> None:
    if isinstance(operation, SetValue):
        builder.set_value(path, operation.name, operation.type, operation.data)
    elif isinstance(operation, CreateKey):
        builder.create_key(path)
    elif isinstance(operation, DeleteKey):
        builder.delete_key(path)
    else:
        builder.delete_value(path, operation.name)


def _refused(source: str, operation: Operation, reason: str, hint: str | None) -> InvalidInput:
    where = f" in line {operation.line}" if operation.line else ""
    return InvalidInput(
        f"{source} cannot change the key {operation.path[:200]}{where}: {reason}.",
        code="winregistry.source",
        hint=hint,
        line=operation.line,
    )
