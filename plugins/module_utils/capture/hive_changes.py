# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute the deltas of changed hives, from both sides with their transaction logs applied, and filter them by rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..common.errors import Corrupt
from ..layers.entry import printable
from ..ntfs.volume import Volume
from ..windows.installation import find_hive
from ..winregistry.delta import REMOVE, Delta, KeyDelta
from ..winregistry.delta_compute import compute_delta
from ..winregistry.hive_model import Hive
from ..winregistry.hive_names import LayerHive
from .rules import LeftOut, RuleSet

#: Removes from the delta of a hive what a layer must not contain.
DeltaStep = Callable[[Delta], None]


class HivePairs:
    """The hives of both sides. A hive is read once, with its logs applied, and kept until it is released.

    A hive that was not closed and has no valid logs is rejected: the latest changes of Windows would be missing.
    """

    def __init__(self, old: Volume, new: Volume) -> None:
        self.new = new
        self._volumes = {"old": old, "new": new}
        self._read: dict[tuple[str, str], Hive | None] = {}

    def get(self, side: str, path: str) -> Hive | None:
        """Return the hive at ``path`` on the side "old" or "new"; None if it is missing or empty there.

        Raises:
            Corrupt: the hive is damaged, or was not closed and has no valid logs.
        """
        key = side, path
        if key not in self._read:
            self._read[key] = _require_whole(find_hive(self._volumes[side], path), side, path)
        return self._read[key]

    def keep(self, side: str, path: str, hive: Hive) -> None:
        """Keep a hive that has been read already."""
        self._read[side, path] = _require_whole(hive, side, path)

    def release(self, path: str) -> None:
        """Forget both sides of a hive."""
        for side in self._volumes:
            self._read.pop((side, path), None)


def hive_delta(
    hives: HivePairs,
    hive: LayerHive,
    rules: RuleSet,
    left_out: LeftOut,
    steps: Iterable[DeltaStep],
) -> Delta:
    """Return the changes of ``hive`` after ``steps`` and without what ``rules`` exclude.

    A hive that did not exist before counts as empty; a hive that was removed counts as unchanged.

    Raises:
        Corrupt: a hive is damaged.
    """
    path, name = hive.path, hive.name
    before, after = hives.get("old", path), hives.get("new", path)
    if after is None:
        left_out.add("removal", "hive", path)
        return Delta(name)
    if before is None:
        before = Hive.new(name, minor=after.minor, security=after.root.security, root_name=after.root.name)
    delta = compute_delta(before, after, name=name)
    for step in steps:
        step(delta)
    filter_delta(delta, rules, left_out)
    return delta


def filter_delta(delta: Delta, rules: RuleSet, left_out: LeftOut) -> None:
    """Remove from ``delta`` the changes that ``rules`` exclude. Keys on the way to an included change are kept."""
    for path, key in list(delta.walk()):
        _filter_key(delta, path, key, rules, left_out)
    delta.prune()


def _filter_key(delta: Delta, path: str, key: KeyDelta, rules: RuleSet, left_out: LeftOut) -> None:
    prefix = f"{path}\\" if path else ""
    numbers = len(key.values), len(key.subkeys)
    for folded, value in list(key.values.items()):
        rule = rules.value(delta.hive, path, value.name)
        if rule is not None:
            del key.values[folded]
            left_out.add(
                "value", rule.reason, printable(f"{delta.hive}\\{prefix}{value.name or '(default)'}"), rule.pattern
            )
    for folded, below in list(key.subkeys.items()):
        path_below = prefix + below.name
        rule = rules.key(delta.hive, path_below, is_way=True)
        if rule is None:
            continue
        if below.action == REMOVE or not _keeps(delta.hive, path_below, below, rules):
            rules.key(delta.hive, path_below)
            left_out.add("key", rule.reason, printable(f"{delta.hive}\\{path_below}"), rule.pattern)
            del key.subkeys[folded]
        else:
            # A later rule includes something below the key: the key itself does not change.
            below.security = below.class_data = below.flags = below.last_written = below.order = None
            below.renamed = False
    if not key.is_fresh and (len(key.values), len(key.subkeys)) != numbers:
        key.forget_time()


def _keeps(hive: str, path: str, key: KeyDelta, rules: RuleSet) -> bool:
    """Return whether the rules include anything below an excluded key."""
    if not rules.may_include_below(hive, path):
        return False
    for below_path, below in key.walk():
        full_path = f"{path}\\{below_path}" if below_path else path
        if below_path and rules.key(hive, full_path, is_way=True) is None:
            return True
        if any(rules.value(hive, full_path, value.name) is None for value in below.values.values()):
            return True
    return False


def _require_whole(hive: Hive | None, side: str, path: str) -> Hive | None:
    if hive is not None and hive.dirty:
        owner = "packaged disk" if side == "new" else "image that the packaging machine started from"
        raise Corrupt(
            f"The registry hive {path} of the {owner} was not closed, and no transaction log completes it.",
            code="capture.hive_log",
            hint="Start the VM that the disk comes from, shut Windows down, and export the disk again.",
        )
    return hive
