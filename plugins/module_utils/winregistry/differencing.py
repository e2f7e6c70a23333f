# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Microsoft's differencing hives: the form in which layers of Windows containers contain registry changes.

Such a hive (version 1.6, such as ``Hives/System_Delta``) applies to a parent hive. Each key node
adds to the parent's key, deletes it, hides its own values and subkeys, or replaces the whole
tree. A value may be a marker that the parent's value is deleted. Source: "Windows registry file
format specification" by Maxim Suhanov, "Layered keys". Details that it leaves open (which side's
spelling and security count) follow hives that Windows wrote.
"""

from __future__ import annotations

from ..common.errors import InvalidInput
from . import cell_layout
from .delta import CARRIED_FLAGS, REPLACE, Delta, KeyDelta
from .delta_compute import compute_delta, created
from .hive_model import Hive, Key


def merge_differencing(parent: Hive, layered: Hive, *, source: str = "") -> None:
    """Change ``parent`` to what Windows shows if ``layered`` is loaded on top of it.

    ``source`` names ``layered`` in messages; if it is empty, the name stored in the file is used.

    Raises:
        InvalidInput: ``layered`` is not a differencing hive.
    """
    if not layered.is_differencing:
        raise InvalidInput(
            f"The registry hive {source or layered.name} is not a differencing hive: its version is 1.{layered.minor}, "
            f"not 1.{cell_layout.DIFFERENCING_VERSION}.",
            code="winregistry.differencing",
            hint="Export the layer again with the tool that created it.",
        )
    stack = [(parent.root, layered.root)]
    _take_over(parent.root, layered.root)
    while stack:
        key, upper = stack.pop()
        for above in upper.subkeys.values():
            below = key.subkeys.get(above.name)
            semantics = above.layer_semantics
            if below is not None and semantics in (cell_layout.LAYER_TOMBSTONE, cell_layout.LAYER_SUPERSEDE_TREE):
                key.delete(above.name)
                below = None
            if semantics == cell_layout.LAYER_TOMBSTONE:
                continue
            if below is None:
                below = Key(above.name, security=above.security, last_written=above.last_written, context=key.context)
                key.add(below)
            elif semantics == cell_layout.LAYER_SUPERSEDE_LOCAL:
                for name in list(below.values):
                    below.delete_value(name)
            _take_over(below, above)
            stack.append((below, above))


def _take_over(key: Key, above: Key) -> None:
    """Apply the key node ``above`` to ``key``: values, security, flags, the class unless inherited, the later time."""
    if not key.flags & cell_layout.KEY_HIVE_ENTRY:
        key.name = above.name
    key.security = above.security
    key.flags = key.flags & ~CARRIED_FLAGS | above.flags & CARRIED_FLAGS
    key.control = above.control
    key.predefined_handle = above.predefined_handle
    key.last_written = max(key.last_written, above.last_written)
    if not above.inherit_class:
        key.class_data = above.class_data
    for value in above.values.values():
        if not value.tombstone:
            changed = key.set_value(value.name, value.type, value.data)
            changed.name, changed.wide = value.name, value.wide
        elif value.name in key.values:
            key.delete_value(value.name)


def delta_from_differencing(base: Hive, layered: Hive, *, name: str, source: str = "") -> Delta:
    """Return the delta of the hive ``name`` that has the effect of ``layered`` on ``base``; ``base`` is not altered.

    A key node that replaces its whole tree becomes a replacement in the delta if the key exists in ``base``. Additions
    of lower layers to that key are therefore lost as well. ``source`` names ``layered`` in messages.

    Raises:
        InvalidInput: ``layered`` is not a differencing hive, or ``base`` is.
    """
    result = Hive(base.root.copy(), base_block=bytes(base.base_block))
    merge_differencing(result, layered, source=source)
    delta = compute_delta(base, result, name=name)
    stack = [(base.root, result.root, layered.root, delta.root)]
    while stack:
        below, merged, above, node = stack.pop()
        fold = delta.upcase.fold
        for key in above.subkeys.values():
            folded = fold(key.name)
            old = below.subkeys.get(key.name)
            if old is None or key.layer_semantics == cell_layout.LAYER_TOMBSTONE:
                continue
            result_key = merged.subkeys[key.name]
            if key.layer_semantics == cell_layout.LAYER_SUPERSEDE_TREE:
                node.subkeys[folded] = created(result_key, name, REPLACE)
                continue
            child = node.subkeys.get(folded)
            if child is None:
                child = node.subkeys[folded] = KeyDelta(result_key.name)
            stack.append((old, result_key, key, child))
    delta.prune()
    return delta
