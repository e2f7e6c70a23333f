# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down changes of a hive one by one, as a program makes them, and get the delta they amount to.

The hive itself is only looked at: for what was there before, and for the keys that symbolic links
lead to.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..common.errors import InvalidInput
from .delta import CREATE, KEEP, REMOVE, REPLACE, Before, Delta, KeyDelta, ValueDelta
from .hive_model import MAXIMUM_DATA, MAXIMUM_DEPTH, MAXIMUM_KEY_NAME, MAXIMUM_VALUE_NAME, Hive, Key
from .registry_values import REG_LINK, decode_string

_MAXIMUM_LINKS = 16


class DeltaBuilder:
    """Gathers changes of the hive ``base``.

    ``mounts`` are the paths (with backslashes) under which links name its root, such as /REGISTRY/MACHINE/SOFTWARE;
    ``aliases`` are keys below the root, by upper-case name, that stand for others.
    What is changed is wanted so, also where the hive is like that already: another layer may
    have made it different. New keys get the security that their parent hands down where the delta is applied.
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
        """Make the key ``path`` and those above it if they do not exist."""
        self._reach(self._resolved(path))

    def delete_key(self, path: str) -> None:
        """Delete the key ``path`` with everything below it. Raises InvalidInput for the hive's root."""
        names = self._resolved(path, last=False)
        if not names:
            raise InvalidInput(
                f"The root of the registry hive {self.delta.hive} cannot be deleted.", code="winregistry.root"
            )
        folded = self._fold(names[-1])
        if self._is_within_new(names[:-1]):
            parent = self._made(names[:-1])
            if parent is not None and parent.subkeys.pop(folded, None) is not None:
                parent.last_written = self._time
            return
        parent, _old = self._reach(names[:-1], make=False)
        parent.subkeys[folded] = KeyDelta(names[-1], REMOVE)
        parent.last_written = self._time

    def set_value(self, path: str, name: str, type: int, data: bytes) -> None:  # pylint: disable=redefined-builtin
        """Set a value, making its key if need be."""
        if (
            not 0 <= type <= 0xFFFFFFFF
            or len(data) > MAXIMUM_DATA
            or len(name.encode("utf-16-le", "surrogatepass")) > 2 * MAXIMUM_VALUE_NAME
        ):
            raise InvalidInput(
                f"The value {name[:80] or '(default)'} of the registry key {path[:200]} cannot be stored.",
                code="winregistry.data",
            )
        node, old = self._reach(self._resolved(path))
        before = None if old is None else old.value(name)
        folded = self._fold(name)
        earlier = node.values.get(folded)
        # A value that exists keeps its spelling; one that was deleted before comes back with the new one.
        if earlier is None or earlier.data is not None:
            present = earlier or before
            name = present.name if present is not None else name
        renamed = before is not None and before.name != name
        node.values[folded] = ValueDelta(name, type, bytes(data), Before.of(before), renamed=renamed)
        node.last_written = self._time

    def delete_value(self, path: str, name: str) -> None:
        """Delete a value."""
        names = self._resolved(path)
        folded = self._fold(name)
        if self._is_within_new(names):
            made = self._made(names)
            if made is not None and made.values.pop(folded, None) is not None:
                made.last_written = self._time
            return
        node, old = self._reach(names, make=False)
        before = None if old is None else old.value(name)
        # Set anew, it would stand behind the others.
        node.values.pop(folded, None)
        node.values[folded] = ValueDelta(name if before is None else before.name, 0, None, Before.of(before))
        node.last_written = self._time

    def finish(self) -> Delta:
        """The delta."""
        self.delta.prune()
        return self.delta

    def _reach(self, names: list[str], make: bool = True) -> tuple[KeyDelta, Key | None]:
        """Return the node of the key, and the hive's key as long as nothing has replaced it; ``make`` sees to it that the key exists."""
        node, old = self.delta.root, self._base.root
        for name in names:
            folded = self._fold(name)
            old = None if old is None else old.subkeys.get(name)
            below = node.subkeys.get(folded)
            if below is None:
                below = node.subkeys[folded] = KeyDelta(name if old is None else old.name)
            if make and below.action == KEEP and old is None:
                below.action, below.name = CREATE, name
                below.last_written = node.last_written = self._time
            elif make and below.action == REMOVE:
                below.action, below.name, below.last_written = REPLACE, name, self._time
            if below.action != KEEP:
                old = None
            node = below
        return node, old

    def _is_within_new(self, names: list[str]) -> bool:
        node = self.delta.root
        for name in names:
            node = node.subkeys.get(self._fold(name))
            if node is None:
                return False
            if node.action in (REMOVE, REPLACE):
                return True
        return False

    def _made(self, names: list[str]) -> KeyDelta | None:
        """The node of a key that the changes made; None where they made none, or deleted it."""
        node: KeyDelta | None = self.delta.root
        for name in names:
            node = node.subkeys.get(self._fold(name))
            if node is None or node.action == REMOVE:
                return None
        return node

    def _resolved(self, path: str, last: bool = True) -> list[str]:
        """The names of the key that ``path`` leads to when links are followed; the ``last`` one is not always."""
        names = [name for name in path.split("\\") if name]
        if len(names) > MAXIMUM_DEPTH or any(
            len(name.encode("utf-16-le", "surrogatepass")) > 2 * MAXIMUM_KEY_NAME for name in names
        ):
            raise InvalidInput(f"{path[:200]} cannot be the path of a registry key.", code="winregistry.name")
        for _link in range(_MAXIMUM_LINKS):
            if names:
                names[0] = self._aliases.get(self._fold(names[0]), names[0])
            key: Key | None = self._base.root
            for index, name in enumerate(names):
                key = key.subkeys.get(name)
                if key is None:
                    return names
                if (
                    key.is_symbolic_link
                    and (last or index < len(names) - 1)
                    and not self._is_within_new(names[: index + 1])
                ):
                    target = self._target(key)
                    if target is None:
                        raise InvalidInput(
                            f"The registry key {path[:200]} lies behind a link that leads out of the hive {self.delta.hive}.",
                            code="winregistry.link",
                            hint="Name the key that the link leads to.",
                        )
                    names = target + names[index + 1 :]
                    break
            else:
                return names
        raise InvalidInput(
            f"The registry key {path[:200]} lies behind links that lead in a circle.", code="winregistry.link"
        )

    def _target(self, key: Key) -> list[str] | None:
        value = key.value("SymbolicLinkValue")
        text = decode_string(value) if value is not None and value.type == REG_LINK else None
        names = [name for name in (text or "").split("\\") if name]
        for mount in self._mounts:
            if names and [self._fold(name) for name in names[: len(mount)]] == mount:
                return names[len(mount) :]
        return None
