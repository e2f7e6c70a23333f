# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files as the source of a layer: what they do becomes a delta for each hive.

Keys are named as a user of the machine sees them; here they are resolved to hives: the current
control set to the one that Windows would start with, the user to the Default user, from whom
new users get their settings, and classes to those of the machine.
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
    "A layer can hold keys of HKEY_LOCAL_MACHINE\\SYSTEM, HKEY_LOCAL_MACHINE\\SOFTWARE, HKEY_CLASSES_ROOT, HKEY_USERS\\.DEFAULT "
    "and HKEY_CURRENT_USER (for new users)."
)
_CLASSES_HINT = "A new user's own classes begin empty. Use HKEY_CLASSES_ROOT instead."
_SHORT = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKCR": "HKEY_CLASSES_ROOT", "HKU": "HKEY_USERS"}
# The first names of a path, what hive that is, and the key there.
_PLACES = (
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
    """Return the hive that the key ``path`` (HKEY_...) lies in and the names below its root; None where layers have no such hive."""
    names = [name for name in path.split("\\") if name]
    folded = [upcase.WINDOWS.fold(name) for name in names]
    if folded:
        folded[0] = _SHORT.get(folded[0], folded[0])
    for start, hive, below in _PLACES:
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
    """Return the deltas, by hive name, of what ``operations`` do one after the other to the hives ``bases`` (by name, see registry.hives).

    ``last_written`` is the FILETIME that the keys get. Raises InvalidInput naming ``source`` and the line for
    keys that a layer cannot hold, or whose hive is not among ``bases``.
    """
    builders: dict[str, DeltaBuilder] = {}
    for operation in operations:
        place = locate(operation.path)
        if place is None:
            raise _refused(source, operation, "which no layer can hold", _HINT)
        hive, names = place
        folded = [upcase.WINDOWS.fold(name) for name in names[:2]]
        if hive == "NTUSER.DAT" and folded == ["SOFTWARE", "CLASSES"]:
            raise _refused(source, operation, "the classes of a single user", _CLASSES_HINT)
        base = bases.get(hive)
        if base is None:
            raise _refused(source, operation, f"but the OS layer has no hive {hive}", None)
        if hive not in builders:
            aliases = {"CURRENTCONTROLSET": current_control_set(base).name} if hive == "SYSTEM" else {}
            builders[hive] = DeltaBuilder(hive, base, mounts=_MOUNTS[hive], aliases=aliases, last_written=last_written)
        try:
            _do(builders[hive], operation, "\\".join(names))
        except InvalidInput as error:
            raise _refused(source, operation, f"which is not possible: {error.message}", error.hint) from error
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


def _refused(source: str, operation: Operation, why: str, hint: str | None) -> InvalidInput:
    where = f" in line {operation.line}" if operation.line else ""
    return InvalidInput(
        f"{source} changes the key {operation.path[:200]}{where}, {why}.", code="winregistry.source", hint=hint
    )
