# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What publishing a template would put together: sizes, conflicts in files and registry, where paths come from.

Nothing is composed: file indexes and registry deltas say it all, but for what the OS layer
itself holds, which is looked up on its disk. Files that an app layer brings and that have
changed in the OS layer since the version the app layer was made for (an old library over
a patched one) are reported by themselves, and so are 8.3 names that files do not get because others have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..catalog import layer_store
from ..catalog.resolved_template import ResolvedTemplate, label
from ..layers.entry import FILE
from ..layers.file_index import Record
from ..layers.windows_names import windows_path
from ..ntfs.volume import Volume
from ..ntfs.volume_process import run_on_volume
from ..repository.repository import Repository
from ..windows.partition import windows_window
from ..winregistry.delta_format import read_delta
from ..winregistry.delta_merge import combine_deltas
from ..winregistry.merge_rules import compile_rules
from .compose import StackedLayer, open_archive, outdated_files, read_stack, stacked_layer
from .conflicts import BRINGS, Plan
from .image_hives import read_stacked_deltas
from .os_disk import OsDisk
from .short_names import find_clashes
from .stack_merge import MergedTree, merge
from .stale_files import FAIL, LAYER, choose


@dataclass
class TemplatePlan:
    """JSON-compatible: ``layers`` with what each brings and wins, ``conflicts`` between files, ``registry``
    findings, ``outdated`` files, ``short_names`` that files do not get, ``provenance`` by path that was asked for."""

    layers: list[dict] = field(default_factory=list)
    conflicts: list[dict] = field(default_factory=list)
    registry: list[dict] = field(default_factory=list)
    outdated: list[dict] = field(default_factory=list)
    short_names: list[dict] = field(default_factory=list)
    provenance: dict[str, list[dict]] = field(default_factory=dict)


def plan_template(repository: Repository, template: ResolvedTemplate, paths: Sequence[str] = ()) -> TemplatePlan:
    """Plan a template and tell, for each of ``paths``, which layers say something about it."""
    return run_on_volume(_plan, repository, template, list(paths), subject="the OS layer's disk")


def contested(repository: Repository, template: ResolvedTemplate) -> list[str]:
    """A line for each file, key and value of a template on which layers contradict each other, and each outdated file; for diff mode."""
    plan = plan_template(repository, template)
    lines = [
        f"{one['path']}: {one['winner']} {one['outcome']} it, over {', '.join(one['losers'])}" for one in plan.conflicts
    ]
    lines += [
        f"{one['hive']}\\{one['key']} {one.get('value') or ''}: {', '.join(one['layers'])} over {', '.join(one['overruled'])}"
        for one in plan.registry
        if one.get("overruled")
    ]
    lines += [
        f"{one['path']}: {one['layer']} brings it, {one['os_layer']} has changed it since" for one in plan.outdated
    ]
    return lines + [
        f"{one['path']}: {one['layer']} gives it the 8.3 name {one['short_name']}, which {one['holder']} has"
        for one in plan.short_names
    ]


def _plan(repository: Repository, template: ResolvedTemplate, paths: list[str]) -> TemplatePlan:
    stack = [stacked_layer(repository, reference) for reference in template.layers]
    records = read_stack(repository, stack)
    result = TemplatePlan()
    with ExitStack() as opened:
        volume = _mount(repository, template.os_layer.digest, opened)
        labels = [layer.label for layer in stack]
        knew = [{labels.index(known) for known in layer.knew if known in labels} for layer in stack]
        outdated = outdated_files(repository, stack, records, template.os_layer.digest, volume, opened)
        policy = template.merging.get("outdated_files", LAYER)
        openers = [lambda layer=layer: open_archive(repository, layer, opened) for layer in stack]
        # An image that is to be refused is planned as if its layers won.
        skip = choose(policy, outdated, labels, openers, volume) if policy != FAIL else ()
        plan = Plan(records, lambda path: "/".join(volume.upcase(part) for part in path.split("/")), knew, skip)
        tree = merge(
            [(layer.label, [record.entry for record in found]) for layer, found in zip(stack, records)],
            volume.upcase,
            skip,
        )
        result.conflicts = [
            {
                "path": one.path,
                "outcome": one.outcome,
                "winner": labels[one.winner],
                "losers": [labels[number] for number in one.losers],
            }
            for one in plan.conflicts()
        ]
        result.layers = _layers(template, records, tree)
        result.short_names = [
            {"path": clash.path, "short_name": clash.short_name, "layer": labels[clash.layer], "holder": clash.holder}
            for clash in find_clashes(tree, volume)
        ]
        result.registry = _registry(repository, template, stack, opened)
        result.outdated = [
            {"path": one.path, "layer": labels[one.layer], "os_layer": label(template.os_layer)} for one in outdated
        ]
        for path in paths:
            plain = windows_path(path)
            told = [{"layer": labels[number], "says": saying} for number, saying in plan.provenance(plain)]
            node = volume.find(plain)
            if node is not None:
                node.close()
                told.insert(0, {"layer": label(template.os_layer), "says": BRINGS})
            result.provenance[path] = told
    return result


def _mount(repository: Repository, digest: str, opened: ExitStack) -> Volume:
    disk = opened.enter_context(OsDisk.of(repository, digest).open(repository))
    partition = layer_store.load_version(repository, digest).facts["disk"]["partition"]
    return opened.enter_context(Volume.mount(windows_window(disk, partition)))


def _layers(template: ResolvedTemplate, records: list[list[Record]], tree: MergedTree) -> list[dict]:
    won = [0] * len(records)
    for _path, node in tree.nodes():
        if node.is_leaf:
            won[node.layer] += 1
    return [
        dict(
            reference.to_dict(),
            files=sum(record.entry.kind in (FILE, "link") for record in found),
            removals=sum(record.entry.kind == "whiteout" for record in found),
            bytes=sum(record.entry.size for record in found),
            files_that_win=won[number],
        )
        for number, (reference, found) in enumerate(zip(template.layers, records))
    ]


def _registry(
    repository: Repository, template: ResolvedTemplate, stack: list[StackedLayer], opened: ExitStack
) -> list[dict]:
    deltas = read_stacked_deltas(
        [(layer.label, lambda layer=layer: open_archive(repository, layer, opened, hives=True)) for layer in stack]
    )
    rules = compile_rules(template.merging.get("registry_lists", ()))
    knew = {layer.label: layer.knew for layer in stack}
    findings = []
    for name in sorted(deltas):
        own = [(delta.label, read_delta(delta.data)) for delta in deltas[name] if not delta.differencing]
        findings += [finding.as_dict() for finding in combine_deltas(own, rules, seen=knew).findings] if own else []
    return findings
