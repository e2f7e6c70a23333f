# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an image template: sizes, conflicts in files and registry, and the origin of paths.

Nothing is composed: file indexes and registry deltas contain all that is needed, except the files of
the OS layer, which are looked up on its disk. Everything for which composing would be refused is listed. Stale files, which a layer provides and which the OS
layer has changed since the layer was built, are listed separately, and so are the 8.3 names that files
do not get because other files have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ...catalog import scripts
from ...catalog.resolved_template import ResolvedTemplate, StaleFilePolicy
from ...common.errors import StrataError
from ...layers.entry import FILE, LINK, WHITEOUT
from ...layers.file_index import Record
from ...layers.windows_names import windows_path
from ...ntfs.volume import Volume
from ...ntfs.volume_process import run_on_volume
from ...repository.repository import Repository
from ...winregistry.delta_format import read_delta
from ...winregistry.delta_merge import combine_deltas
from ...winregistry.merge_rules import compile_rules
from ..composing.image_hives import StackedDelta, read_stacked_deltas
from ..composing.short_names import find_clashes
from ..stack.layer_stack import (
    archive_openers,
    find_stale_in_stack,
    merge_stack,
    read_indexes,
    script_layer,
    stacked_layers,
)
from ..stack.stack_merge import MergedTree
from ..stack.stale_files import StaleFile, select_skipped
from ..stored.os_disk import OsDisk, disk_size, mount_os_layer
from .conflicts import BRINGS, StackClaims
from .plan_refusals import DecodedDeltas, PlannedImage, plan_refusals


@dataclass
class TemplatePlan:
    """The plan of a template, JSON-compatible.

    ``layers`` with what each layer provides and wins, ``conflicts`` between files, findings in the
    ``registry``, ``outdated`` files, ``short_names`` that files do not get, ``refused`` (each error for
    which composing would be refused: code, message, hint, layer, path), and ``provenance`` by requested path.
    """

    layers: list[dict] = field(default_factory=list)
    conflicts: list[dict] = field(default_factory=list)
    registry: list[dict] = field(default_factory=list)
    outdated: list[dict] = field(default_factory=list)
    short_names: list[dict] = field(default_factory=list)
    refused: list[dict] = field(default_factory=list)
    provenance: dict[str, list[dict]] = field(default_factory=dict)


def plan_template(repository: Repository, template: ResolvedTemplate, paths: Sequence[str] = ()) -> TemplatePlan:
    """Plan a template; ``provenance`` lists the layers that claim each of ``paths``.

    Raises:
        InvalidInput layers.path: a path of ``paths`` is not valid on Windows.
        Conflict images.layer_*: layers contradict each other in a way that cannot be composed.
        Corrupt, NotFound, Unsupported: a layer or the OS layer is damaged, missing or not supported.
    """
    return run_on_volume(_plan, repository, template, list(paths), subject="the OS layer's disk")


def contested(repository: Repository, template: ResolvedTemplate) -> list[str]:
    """Return ``conflict_lines`` of a template; diff mode shows them."""
    return conflict_lines(plan_template(repository, template))


def conflict_lines(plan: TemplatePlan) -> list[str]:
    """Return a line per refusal, per file, key and value on which layers contradict each other, and per stale file."""
    lines = [f"cannot be composed: {item['message']}" for item in plan.refused]
    lines += [
        f"{item['path']}: {item['winner']} {item['outcome']} it, over {', '.join(item['losers'])}"
        for item in plan.conflicts
    ]
    lines += [
        f"{item['hive']}\\{item['key']} {item.get('value') or ''}: {', '.join(item['layers'])} over {', '.join(item['overruled'])}"
        for item in plan.registry
        if item.get("overruled")
    ]
    lines += [
        f"{item['path']}: {item['layer']} provides it, {item['os_layer']} has changed it since"
        for item in plan.outdated
    ]
    return lines + [
        f"{item['path']}: {item['layer']} gives it the 8.3 name {item['short_name']}, which {item['holder']} has"
        for item in plan.short_names
    ]


def _plan(repository: Repository, template: ResolvedTemplate, paths: list[str]) -> TemplatePlan:
    with ExitStack() as stack:
        volume = mount_os_layer(repository, template.os_layer.digest, stack)
        return _Planner(repository, template, volume, stack).plan(paths)


class _Planner:
    def __init__(self, repository: Repository, template: ResolvedTemplate, volume: Volume, stack: ExitStack) -> None:
        self._repository = repository
        self._template = template
        self._volume = volume
        self._stack = stack
        self._layers = stacked_layers(repository, template.layers)
        self._labels = [layer.label for layer in self._layers]
        self._records = read_indexes(repository, self._layers)

    def plan(self, paths: list[str]) -> TemplatePlan:
        """Return the plan; ``volume`` is the OS layer."""
        stale = find_stale_in_stack(
            self._repository, self._layers, self._records, self._template.os_layer.digest, self._volume, self._stack
        )
        skipped = self._skipped(stale)
        tree = merge_stack(self._layers, self._records, self._volume.upcase, skipped)
        built_on = [
            {self._labels.index(label) for label in layer.built_on if label in self._labels} for layer in self._layers
        ]
        claims = StackClaims(self._records, self._fold, built_on, skipped)
        openers = archive_openers(self._repository, self._layers, self._stack, hives=True)
        deltas = read_stacked_deltas(self._labels, openers)
        decoded = _decoded(deltas)
        image = PlannedImage(
            self._volume,
            tree,
            deltas,
            decoded,
            {layer.label: layer.built_on for layer in self._layers},
            self._template.merging.get("registry_lists", ()),
        )
        plan = TemplatePlan(
            layers=_layers(self._template, self._records, tree),
            conflicts=self._conflicts(claims),
            registry=_registry(image),
            outdated=[
                {"path": file.path, "layer": self._labels[file.layer], "os_layer": self._template.os_layer.label}
                for file in stale
                if not file.is_removed
            ],
            short_names=[
                {
                    "path": clash.path,
                    "short_name": clash.short_name,
                    "layer": self._labels[clash.layer],
                    "holder": clash.holder,
                }
                for clash in find_clashes(tree, self._volume)
            ],
            provenance={path: self._provenance(claims, windows_path(path)) for path in paths},
        )
        # The scripts are the top layer of the image; they do not count for the other parts of the plan.
        checks = [lambda: self._add_scripts(tree), *self._checks(stale)]
        plan.refused = [_refusal(error) for error in plan_refusals(image, checks)]
        return plan

    def _add_scripts(self, tree: MergedTree) -> None:
        """Add the layer that places the scripts of the image."""
        template = self._template
        placed = scripts.scripts_of(self._repository, (template.os_layer, *template.layers), template.script)
        layer = script_layer(template.content_digest, placed, b"")
        (records,) = read_indexes(self._repository, [layer])
        tree.add_layer(len(self._layers), layer.label, [record.entry for record in records])

    def _fold(self, path: str) -> str:
        return "/".join(self._volume.upcase(part) for part in path.split("/"))

    def _skipped(self, stale: list[StaleFile]) -> frozenset[tuple[int, int]]:
        policy = StaleFilePolicy(self._template.merging.get("outdated_files", StaleFilePolicy.LAYER))
        if policy is StaleFilePolicy.FAIL:
            return frozenset()  # An image that will be refused is planned as if its layers won.
        openers = archive_openers(self._repository, self._layers, self._stack)
        return select_skipped(policy, stale, self._labels, openers, self._volume)

    def _checks(self, stale: list[StaleFile]) -> list[Callable[[], object]]:
        """Return the checks of composing that concern the whole image."""
        os_layer = self._template.os_layer.label
        policy = StaleFilePolicy(self._template.merging.get("outdated_files", StaleFilePolicy.LAYER))
        checks: list[Callable[[], object]] = [
            lambda: disk_size((self._template.disk_size_gb or 0) << 30, self._capacity(), os_layer)
        ]
        if policy is StaleFilePolicy.FAIL:
            checks.append(lambda: select_skipped(policy, stale, self._labels, [], self._volume))
        return checks

    def _capacity(self) -> int:
        """Return the size of the OS layer's disk in bytes."""
        return OsDisk.load(self._repository, self._template.os_layer.digest).load_index(self._repository).capacity

    def _conflicts(self, claims: StackClaims) -> list[dict]:
        return [
            {
                "path": conflict.path,
                "outcome": conflict.outcome,
                "winner": self._labels[conflict.winner],
                "losers": [self._labels[number] for number in conflict.losers],
            }
            for conflict in claims.conflicts()
        ]

    def _provenance(self, claims: StackClaims, path: str) -> list[dict]:
        origins = [{"layer": self._labels[number], "says": claim} for number, claim in claims.provenance(path)]
        node = self._volume.find(path)
        if node is not None:
            node.close()
            origins.insert(0, {"layer": self._template.os_layer.label, "says": BRINGS})
        return origins


def _layers(template: ResolvedTemplate, records: list[list[Record]], tree: MergedTree) -> list[dict]:
    won = [0] * len(records)
    for _path, node in tree.nodes():
        if node.is_leaf:
            won[node.layer] += 1
    return [
        dict(
            reference.to_dict(),
            files=sum(record.entry.kind in (FILE, LINK) for record in index),
            removals=sum(record.entry.kind == WHITEOUT for record in index),
            bytes=sum(record.entry.size for record in index),
            files_that_win=won[number],
        )
        for number, (reference, index) in enumerate(zip(template.layers, records))
    ]


def _refusal(error: StrataError) -> dict:
    """Return an error as JSON-compatible data; layer and path are None if it concerns the whole template."""
    details = error.details
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "layer": details.get("layer"),
        "path": details.get("path"),
    }


def _decoded(deltas: Mapping[str, Sequence[StackedDelta]]) -> DecodedDeltas:
    return {
        name: [
            (delta.label, read_delta(delta.data, name=f"the hive {name} in {delta.label}"))
            for delta in stacked
            if not delta.differencing
        ]
        for name, stacked in deltas.items()
    }


def _registry(image: PlannedImage) -> list[dict]:
    rules = compile_rules(image.extra_rules)
    findings = []
    for _name, own in sorted(image.decoded.items()):
        if own:
            findings += [finding.as_dict() for finding in combine_deltas(own, rules, seen=image.built_on).findings]
    return findings
