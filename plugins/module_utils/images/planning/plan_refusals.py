# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What composing a template refuses because of its registry changes, its files and the start of Windows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ...common.errors import Conflict, InvalidInput, StrataError
from ...ntfs.volume import Volume
from ...windows.installation import load_hive
from ...winregistry.delta import Delta
from ...winregistry.delta_merge import merge_deltas
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES, LayerHive
from ...winregistry.merge_rules import compile_rules
from ...winregistry.required_keys import HiveState, is_suspicious
from ..composing.image_hives import StackedDelta, check_hive, check_not_a_file, decode_deltas, read_layer_delta
from ..composing.startup_check import changes_drivers, check_merged_hive, check_planned_files
from ..stack.refusals import find_refusals
from ..stack.stack_merge import MergedTree

#: (label of the layer, changes) by name of the hive, without differencing hives.
DecodedDeltas = Mapping[str, Sequence[tuple[str, Delta]]]


@dataclass(frozen=True)
class PlannedImage:
    """The OS layer's volume, the merged stack, and the registry changes by name of the hive.

    ``built_on`` and ``extra_rules`` are as in ``image_hives.RegistryChanges``.
    """

    volume: Volume
    tree: MergedTree
    deltas: Mapping[str, Sequence[StackedDelta]]
    decoded: DecodedDeltas
    built_on: Mapping[str, Collection[str]]
    extra_rules: Sequence[dict]


def plan_refusals(image: PlannedImage, checks: Sequence[Callable[[], object]]) -> list[StrataError]:
    """Return every error for which composing would be refused, beginning with those of ``checks``."""
    refusals = _Refusals()
    for check in checks:
        refusals.run(check)
    system = None
    for name, stacked in sorted(image.deltas.items()):
        merged = refusals.run(lambda name=name, stacked=stacked: _check_hive(image, HIVES[name], stacked))  # type: ignore[misc]
        system = merged if name == "SYSTEM" else system
    refusals.run(lambda: check_planned_files(image.volume, image.tree, system))
    return refusals.errors + find_refusals(image.tree, image.volume)


class _Refusals:
    def __init__(self) -> None:
        self.errors: list[StrataError] = []

    def run(self, check: Callable[[], Hive | None | object]) -> Hive | None:
        """Run a check and keep its error; return its result."""
        try:
            result = check()
        except (Conflict, InvalidInput) as error:
            self.errors.append(error)
            return None
        return result if isinstance(result, Hive) else None


def _check_hive(image: PlannedImage, hive: LayerHive, stacked: Sequence[StackedDelta]) -> Hive | None:
    """Raise the error of composing for the changes of a hive; return the merged hive if it had to be merged."""
    check_not_a_file(image.tree, hive, stacked)
    check_hive(image.volume, hive, stacked)
    deltas = [delta for _label, delta in image.decoded.get(hive.name, ())]
    deltas += [read_layer_delta(image.volume, hive, delta) for delta in stacked if delta.differencing]
    is_needed = hive.name == "SYSTEM" and changes_drivers(image.tree)
    if not is_needed and not any(is_suspicious(hive.name, delta) for delta in deltas):
        return None
    base = load_hive(image.volume, hive.path)
    before = HiveState.of(hive.name, base)
    own = decode_deltas(image.volume, hive, stacked)
    merge_deltas(base, own, compile_rules(image.extra_rules), base_label="the OS layer", seen=image.built_on)
    check_merged_hive(before, base, own)
    return base
