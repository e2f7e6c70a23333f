# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of an image: the hives of the OS layer with the deltas of all layers merged into them.

A hive is always made from the OS layer's, never from an older image's, because merging
lists and counters needs what was there before any layer. It is written only when the
deltas for it are others than those that the image composed from had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..catalog.layer_store import DELTA_SUFFIX
from ..common.errors import Conflict, Corrupt, Unsupported
from ..layers.archive import Contents
from ..layers.entry import HIVE, Entry
from ..ntfs.volume import Volume
from ..windows.installation import MAX_HIVE, load_hive
from ..winregistry.delta import Delta
from ..winregistry.delta_format import read_delta
from ..winregistry.delta_merge import merge_deltas
from ..winregistry.differencing import delta_from_differencing
from ..winregistry.hive_names import HIVES, LayerHive, hive_of_archive_name
from ..winregistry.hive_reader import read_hive
from ..winregistry.hive_writer import write_hive
from ..winregistry.merge_rules import compile_rules
from .stack_merge import MergedTree

#: More findings than these are counted, but not kept with the image.
MAX_FINDINGS = 500
_LOGS = (".LOG1", ".LOG2", ".LOG")
_TRANSACTIONS = (".blf", ".regtrans-ms")

Opened = Iterable[tuple[Entry, Contents]]


@dataclass
class StackedDelta:
    """What one layer does to one hive: its label, the bytes in its archive, and whether they are a differencing hive."""

    label: str
    data: bytes
    differencing: bool


@dataclass
class Registry:
    """What composing did to the registry: ``hives`` (name -> digest of the deltas merged), how many
    keys and values were touched, and ``findings`` as JSON-compatible dictionaries."""

    hives: dict[str, str] = field(default_factory=dict)
    findings: list[dict] = field(default_factory=list)
    finding_count: int = 0


def read_stacked_deltas(layers: Sequence[tuple[str, Callable[[], Opened]]]) -> dict[str, list[StackedDelta]]:
    """Hive name -> what the layers do to it, lowest layer first. ``layers`` are (label, opens the archive with its hives)."""
    found: dict[str, list[StackedDelta]] = {}
    for label, opener in layers:
        for entry, contents in opener():
            if entry.kind != HIVE:
                break  # Hives come first in an archive.
            known = hive_of_archive_name(f"Hives/{entry.path}")
            if known is None:
                if entry.path.endswith(DELTA_SUFFIX):
                    raise Unsupported(
                        f"The {label} changes the registry hive {entry.path}, which this version of the collection does not know.",
                        code="images.layer_unknown_hive",
                        hint="Update the collection strata.layering on this composer.",
                    )
                continue  # Windows containers also carry deltas of SAM and SECURITY, which belong to one machine.
            hive, differencing = known
            for _name, size, part in contents:
                if size > MAX_HIVE:
                    raise Corrupt(
                        f"The registry changes of the {label} are larger than a hive can be.",
                        code="images.layer_hive_size",
                        hint="Make the layer again.",
                    )
                if size:
                    found.setdefault(hive.name, []).append(StackedDelta(label, part.read(), differencing))
    return found


def digests(deltas: dict[str, list[StackedDelta]], extra_rules: Sequence[dict] = ()) -> dict[str, str]:
    """Hive name -> digest of everything that is merged into it and of how."""
    rules = json.dumps(list(extra_rules), sort_keys=True).encode()
    found = {}
    for name, stacked in deltas.items():
        parts = [
            hashlib.sha256(part).digest()
            for part in (rules, *(delta.label.encode() + b"\0" + delta.data for delta in stacked))
        ]
        found[name] = f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"
    return found


def apply_registry(
    volume: Volume,
    original: Volume,
    tree: MergedTree,
    deltas: dict[str, list[StackedDelta]],
    before: dict[str, str],
    knew: dict[str, tuple[str, ...]],
    extra_rules: Sequence[dict] = (),
) -> Registry:
    """Write the hives that ``deltas`` change into ``volume``; ``original`` is the OS layer's volume.

    ``before`` are the digests of what is in the volume's hives already; a hive that no layer
    changes any more becomes the OS layer's again. ``knew`` gives, by a layer's label, those of
    the layers it was made on top of, ``extra_rules`` say which further settings are lists. Raises Conflict when a layer brings a whole
    hive as a file, and what merging raises.
    """
    result = Registry(digests(deltas, extra_rules))
    rules = compile_rules(extra_rules)
    for name in sorted(result.hives.keys() | before.keys()):
        hive = HIVES[name]
        stacked = deltas.get(name, [])
        _refuse_file(tree, hive, stacked)
        base = load_hive(original, hive.path)
        if stacked:
            merged = merge_deltas(
                base,
                [(delta.label, _delta(original, hive, delta)) for delta in stacked],
                rules,
                base_label="the OS layer",
                seen=knew,
            )
            result.finding_count += len(merged.findings)
            result.findings += [finding.as_dict() for finding in merged.findings[: MAX_FINDINGS - len(result.findings)]]
        if result.hives.get(name) != before.get(name):
            _replace(volume, hive.path, write_hive(base))
            _forget_logs(volume, hive.path)
    return result


def _delta(original: Volume, hive: LayerHive, stacked: StackedDelta) -> Delta:
    if not stacked.differencing:
        return read_delta(stacked.data)
    return delta_from_differencing(load_hive(original, hive.path), read_hive(stacked.data), name=hive.name)


def _refuse_file(tree: MergedTree, hive: LayerHive, stacked: list[StackedDelta]) -> None:
    node = tree.root
    for part in hive.path.split("/"):
        node = node.children.get(tree.fold(part)) if node else None
    if node is not None and (node.is_leaf or node.hides) and stacked:
        raise Conflict(
            f"A layer replaces or removes the registry hive {hive.path} as a file, while the {stacked[0].label} changes keys in it.",
            code="images.layer_whole_hive",
            hint="Capture the layer, or give .reg files; never put a hive among a layer's files.",
            path=hive.path,
        )


def _replace(volume: Volume, path: str, data: bytes) -> None:
    """Give the file other content; everything else about it stays."""
    node = volume.find(path)
    if node is None:
        raise Corrupt(
            f"The registry hive {path} vanished while layers were put on the volume.",
            code="images.windows_no_hive",
            hint="Import the OS layer again.",
        )
    with node:
        times = node.times
        with node.open_stream() as stream:
            stream.truncate(len(data), allocate=True)
            stream.pwrite(data, 0)
        node.set_times(times)


def _forget_logs(volume: Volume, path: str) -> None:
    """Empty the hive's transaction logs and remove its transaction files: they belong to what the hive was before.

    Windows makes both anew when it loads the hive.
    """
    for suffix in _LOGS:
        node = volume.find(path + suffix)
        if node is not None:
            with node:
                if not node.is_directory and node.size:
                    times = node.times
                    node.truncate(0)
                    node.set_times(times)
    folder, _slash, name = path.rpartition("/")
    for place in (folder, f"{folder}/TxR"):
        node = volume.find(place)
        if node is None:
            continue
        with node:
            if node.is_directory:
                for child in list(node.children()):
                    if child.name.upper().startswith(name.upper() + "{") and child.name.lower().endswith(_TRANSACTIONS):
                        node.child(child.name).delete()
