# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record changes of a hive in the order in which a program makes them, and return the resulting delta.

The hive itself does not change. It is read for the former values and for the targets of symbolic links.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..common.errors import InvalidInput
from .delta import CREATE, KEEP, REMOVE, REPLACE, Before, Delta, KeyDelta, ValueDelta
from .hive_model import MAXIMUM_DATA, MAXIMUM_DEPTH, MAXIMUM_KEY_NAME, MAXIMUM_VALUE_NAME, Hive, Key
from .registry_values import REG_LINK, decode_string

_MAXIMUM_LINKS = 16
_NAME_HINT = f"Use key names of at most {MAXIMUM_KEY_NAME} characters and at most {MAXIMUM_DEPTH} levels of keys."


class DeltaBuilder:
    """Collects changes of the hive ``base``.

    ``mounts`` are the paths (with backslashes) under which links name its root, such as /REGISTRY/MACHINE/SOFTWARE.
    ``aliases`` maps upper-case names of keys below the root to the keys that they are aliases of.
    A change is recorded even if the hive is in the new state already, because another layer may
    have changed it. New keys inherit the security of their parent when the delta is applied.
    """

    def __init__(
        self,
        name: str,
        base: Hive,
        *,
        mounts: tuple[str, ...] = (),
        aliases: Mapping[str, str] | None = None,
        last_written: int | None = None,
    ) -> None:
        self.delta = Delta(name, table=base.root.context.upcase)
        self._base = base
        self._fold = base.root.context.upcase.fold
        self._mounts = [[self._fold(part) for part in mount.split("\\") if part] for mount in mounts]
        self._aliases = aliases or {}
        self._time = last_written

    def create_key(self, path: str) -> None:
        """Create the key ``path`` and the keys above it if they do not exist.

        Raises:
            InvalidInput: the path is not valid, or leads through a link out of the hive.
        """
        self._reach(self._resolved(path))

    def delete_key(self, path: str) -> None:
        """Delete the key ``path`` with everything below it.

        Raises:
            InvalidInput: the path is the hive's root, is not valid, or leads through a link out of the hive.
        """
        names = self._resolved(path, last=False)
        if not names:
            raise InvalidInput(
                f"The root of the registry hive {self.delta.hive} cannot be deleted.",
                code="winregistry.root",
                hint="Delete the keys below it instead.",
            )
        folded = self._fold(names[-1])
        if self._is_within_new(names[:-1]):
            new_parent = self._created(names[:-1])
            if new_parent is not None and new_parent.subkeys.pop(folded, None) is not None:
                new_parent.last_written = self._time
            return
        parent, _old = self._reach(names[:-1], create=False)
        parent.subkeys[folded] = KeyDelta(names[-1], REMOVE)
        parent.last_written = self._time

    def set_value(self, path: str, name: str, type: int, data: bytes) -> None:  # pylint: disable=redefined-builtin
        """Set a value; its key is created if it does not exist.

        Raises:
            InvalidInput: the type, the data or the name cannot be stored, or the path is not valid.
        """
        if (
            not 0 <= type <= 0xFFFFFFFF
            or len(data) > MAXIMUM_DATA
            or len(name.encode("utf-16-le", "surrogatepass")) > 2 * MAXIMUM_VALUE_NAME
        ):
            raise InvalidInput(
                f"The value {name[:80] or '(default)'} of the registry key {path[:200]} cannot be stored "
                f"(type {type:#x}, {len(data)} bytes, name of {len(name)} characters).",
                code="winregistry.data",
                hint=f"Use a name of at most {MAXIMUM_VALUE_NAME} characters, data below 2 GiB and a 32-bit type.",
            )
        node, old = self._reach(self._resolved(path))
        before = None if old is None else old.value(name)
        folded = self._fold(name)
        earlier = node.values.get(folded)
        # An existing value keeps its spelling; a value that was deleted before gets the new spelling.
        if earlier is None or earlier.data is not None:
            present = earlier or before
            name = present.name if present is not None else name
        renamed = before is not None and before.name != name
        node.values[folded] = ValueDelta(name, type, bytes(data), Before.of(before), renamed=renamed)
        node.last_written = self._time

    def delete_value(self, path: str, name: str) -> None:
        """Delete a value.

        Raises:
            InvalidInput: the path is not valid, or leads through a link out of the hive.
        """
        names = self._resolved(path)
        folded = self._fold(name)
        if self._is_within_new(names):
            created = self._created(names)
            if created is not None and created.values.pop(folded, None) is not None:
                created.last_written = self._time
            return
        node, old = self._reach(names, create=False)
        before = None if old is None else old.value(name)
        # If the value is set again later, it comes after the others.
        node.values.pop(folded, None)
        node.values[folded] = ValueDelta(name if before is None else before.name, 0, None, Before.of(before))
        node.last_written = self._time

    def finish(self) -> Delta:
        """Return the delta of all recorded changes."""
        self.delta.prune()
        return self.delta

    def _reach(self, names: list[str], create: bool = True) -> tuple[KeyDelta, Key | None]:
        """Return the node of the key, and the hive's key unless it was replaced; ``create`` creates missing keys."""
        node = self.delta.root
        old: Key | None = self._base.root
        for name in names:
            folded = self._fold(name)
            old = None if old is None else old.subkeys.get(name)
            below = node.subkeys.get(folded)
            if below is None:
                below = node.subkeys[folded] = KeyDelta(name if old is None else old.name)
            if create and below.action == KEEP and old is None:
                below.action, below.name = CREATE, name
                below.last_written = node.last_written = self._time
            elif create and below.action == REMOVE:
                below.action, below.name, below.last_written = REPLACE, name, self._time
            if below.action != KEEP:
                old = None
            node = below
        return node, old

    def _is_within_new(self, names: list[str]) -> bool:
        node = self.delta.root
        for name in names:
            below = node.subkeys.get(self._fold(name))
            if below is None:
                return False
            if below.action in (REMOVE, REPLACE):
                return True
            node = below
        return False

    def _created(self, names: list[str]) -> KeyDelta | None:
        """Return the node of a key that the changes created; None if they did not, or deleted it."""
        node = self.delta.root
        for name in names:
            below = node.subkeys.get(self._fold(name))
            if below is None or below.action == REMOVE:
                return None
            node = below
        return node

    def _resolved(self, path: str, last: bool = True) -> list[str]:
        """Return the names of the key that ``path`` leads to. Links are followed, the ``last`` name only if it is true."""
        names = [name for name in path.split("\\") if name]
        if len(names) > MAXIMUM_DEPTH or any(
            len(name.encode("utf-16-le", "surrogatepass")) > 2 * MAXIMUM_KEY_NAME for name in names
        ):
            raise InvalidInput(
                f"The path {path[:200]!r} of a registry key is not valid.", code="winregistry.name", hint=_NAME_HINT
            )
        for _link in range(_MAXIMUM_LINKS):
            if names:
                names[0] = self._aliases.get(self._fold(names[0]), names[0])
            key = self._base.root
            for index, name in enumerate(names):
                child = key.subkeys.get(name)
                if child is None:
                    return names
                key = child
                if (
                    key.is_symbolic_link
                    and (last or index < len(names) - 1)
                    and not self._is_within_new(names[: index + 1])
                ):
                    target = self._target(key)
                    if target is None:
                        raise InvalidInput(
                            f"The registry key {path[:200]} is behind a link that leads out of the hive "
                            f"{self.delta.hive}.",
                            code="winregistry.link",
                            hint="Write the path of the key that the link leads to.",
                        )
                    names = target + names[index + 1 :]
                    break
            else:
                return names
        raise InvalidInput(
            f"The registry key {path[:200]} is behind more than {_MAXIMUM_LINKS} links, which may form a circle.",
            code="winregistry.link",
            hint="Write the path of a key that is not behind links.",
        )

    def _target(self, key: Key) -> list[str] | None:
        value = key.value("SymbolicLinkValue")
        text = decode_string(value) if value is not None and value.type == REG_LINK else None
        names = [name for name in (text or "").split("\\") if name]
        for mount in self._mounts:
            if names and [self._fold(name) for name in names[: len(mount)]] == mount:
                return names[len(mount) :]
        return None
