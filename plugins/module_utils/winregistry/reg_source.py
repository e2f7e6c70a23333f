# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files as the source of a layer: their operations become a delta for each hive.

The files name keys as a Windows user sees them. This module maps them to hives: CurrentControlSet
to the control set that Windows would start with, the current user to the Default user, whose settings new users
get, and classes to those of HKEY_LOCAL_MACHINE. HKEY_USERS\\Default is the Default user as well: it is the usual
name under which administrators load that hive to change it. HKEY_USERS\\.DEFAULT is another hive, that of the
system account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..common.errors import InvalidInput
from . import upcase
from .delta import Delta
from .delta_apply import apply_delta
from .delta_builder import DeltaBuilder
from .hive_model import Hive
from .reg_text import CreateKey, DeleteKey, Operation, SetValue
from .registry_values import current_control_set
from .required_keys import HiveState, RequiredKey, leads_to, resolved_names

_HINT = (
    "Use keys of HKEY_LOCAL_MACHINE\\SYSTEM, HKEY_LOCAL_MACHINE\\SOFTWARE, HKEY_CLASSES_ROOT, HKEY_USERS\\.DEFAULT "
    "(the system account), and HKEY_CURRENT_USER or HKEY_USERS\\Default (new users)."
)
_USER_HINT = "Write HKEY_CURRENT_USER or HKEY_USERS\\Default for the Default user, whose settings new users get."
_SERVICE_ACCOUNTS = {"S-1-5-19": "LocalService", "S-1-5-20": "NetworkService"}
_SERVICE_HINT = "Remove the key from the file, and set it in the OS layer's VM or with the layer's script."
_CLASSES_HINT = "Use HKEY_CLASSES_ROOT instead: the own classes of a new user are empty."
_NO_HIVE_HINT = "Remove the key from the file, or use an OS layer that has this hive."
# The first names of a path, the hive that they lead to, and the key in that hive.
_LOCATIONS: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    (("HKEY_LOCAL_MACHINE", "SYSTEM"), "SYSTEM", ()),
    (("HKEY_LOCAL_MACHINE", "SOFTWARE"), "SOFTWARE", ()),
    (("HKEY_CLASSES_ROOT",), "SOFTWARE", ("Classes",)),
    (("HKEY_USERS", ".DEFAULT"), "DEFAULT", ()),
    (("HKEY_USERS", "S-1-5-18"), "DEFAULT", ()),
    (("HKEY_USERS", "DEFAULT"), "NTUSER.DAT", ()),
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
    for start, hive, below in _LOCATIONS:
        if tuple(folded[: len(start)]) == start:
            return hive, [*below, *names[len(start) :]]
    return None


@dataclass(frozen=True, slots=True)
class RegFile:
    """The operations of a .reg file; ``source`` names it in messages."""

    source: str
    operations: Sequence[Operation]


def deltas_from_reg_files(
    files: Iterable[RegFile], bases: Mapping[str, Hive], *, last_written: int | None = None
) -> dict[str, Delta]:
    """Return the deltas, by hive name, of applying .reg files in order to the hives ``bases`` (by name, see hive_names).

    ``last_written`` is the FILETIME that the keys get.

    Raises:
        InvalidInput winregistry.source: a layer cannot contain the key of an operation, or its hive is not in
            ``bases``. The message names the file and the line.
    """
    builders: dict[str, DeltaBuilder] = {}
    for file in files:
        for operation in file.operations:
            location = locate(operation.path)
            if location is None:
                raise _refused(file.source, operation, *_not_layered(operation.path))
            hive, names = location
            folded = [upcase.WINDOWS.fold(name) for name in names[:2]]
            if hive == "NTUSER.DAT" and folded == ["SOFTWARE", "CLASSES"]:
                raise _refused(file.source, operation, "it belongs to the classes of a single user", _CLASSES_HINT)
            base = bases.get(hive)
            if base is None:
                raise _refused(file.source, operation, f"the OS layer has no hive {hive}", _NO_HIVE_HINT)
            if hive not in builders:
                aliases = {"CURRENTCONTROLSET": current_control_set(base).name} if hive == "SYSTEM" else {}
                mounts = _MOUNTS[hive]
                builders[hive] = DeltaBuilder(hive, base, mounts=mounts, aliases=aliases, last_written=last_written)
            try:
                _do(builders[hive], operation, "\\".join(names))
            except InvalidInput as error:
                raise _refused(file.source, operation, error.message.rstrip("."), error.hint) from error
    return {hive: builder.finish() for hive, builder in builders.items()}


def check_required_keys(files: Sequence[RegFile], before: Mapping[str, Hive], deltas: Mapping[str, Delta]) -> None:
    """Raise if ``deltas``, which .reg files made, take from a hive what Windows needs; ``before`` is changed by them.

    Raises:
        InvalidInput winregistry.required_key: no image with these changes can start. The message names the file and
            the line.
    """
    for name, delta in deltas.items():
        hive = before[name]
        state = HiveState.of(name, hive)
        apply_delta(hive, delta)
        for required in state.lost(hive):
            file, operation = _cause(files, required, state.control)
            change = "disable or remove the service" if required.service else "remove the key"
            raise _refused(
                file.source,
                operation,
                f"Windows cannot start without {name}\\{required.path} ({required.reason})",
                f"Do not {change}; change only keys of the application.",
                code="winregistry.required_key",
            )


def _cause(files: Sequence[RegFile], required: RequiredKey, control: str | None) -> tuple[RegFile, Operation]:
    """Return the last operation that removes a required key or sets a value of it, or else the last operation."""
    target = resolved_names(required, control)
    last: tuple[RegFile, Operation] | None = None
    for file in files:
        for operation in file.operations:
            hive, names = locate(operation.path) or ("", [])
            if control is not None and names and upcase.WINDOWS.fold(names[0]) == "CURRENTCONTROLSET":
                names = [control, *names[1:]]
            if hive != required.hive or not leads_to(names, target):
                continue
            if isinstance(operation, DeleteKey):
                last = file, operation
            elif not isinstance(operation, CreateKey) and upcase.WINDOWS.fold(operation.name) in required.values:
                last = file, operation
    if last is None:
        # The key was reached through a symbolic link.
        last = [(file, file.operations[-1]) for file in files if file.operations][-1]
    return last


def _not_layered(path: str) -> tuple[str, str]:
    """Return why layers cannot contain a key, and what to do."""
    root, _separator, rest = path.upper().partition("\\")
    if root == "HKEY_USERS" and rest:
        user = path.split("\\")[1]
        if user.upper() in _SERVICE_ACCOUNTS:
            return f"it belongs to the account {_SERVICE_ACCOUNTS[user.upper()]}", _SERVICE_HINT
        if user.upper().startswith("S-1-"):
            return f"{user} is a single user", _USER_HINT
        return f"{user} is not a hive of the OS layer", _USER_HINT
    return "layers cannot contain this key", _HINT


def _do(builder: DeltaBuilder, operation: Operation, path: str) -> None:
    if isinstance(operation, SetValue):
        builder.set_value(path, operation.name, operation.type, operation.data)
    elif isinstance(operation, CreateKey):
        builder.create_key(path)
    elif isinstance(operation, DeleteKey):
        builder.delete_key(path)
    else:
        builder.delete_value(path, operation.name)


def _refused(
    source: str, operation: Operation, reason: str, hint: str | None, *, code: str = "winregistry.source"
) -> InvalidInput:
    where = f" in line {operation.line}" if operation.line else ""
    return InvalidInput(
        f"{source} cannot change the key {operation.path[:200]}{where}: {reason}.",
        code=code,
        hint=hint,
        file=source,
        line=operation.line,
    )
