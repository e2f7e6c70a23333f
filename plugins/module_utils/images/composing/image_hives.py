# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of an image: the hives of the OS layer with the deltas of all layers merged into them.

A hive is always derived from the hive of the OS layer, never from that of an older image, because
merging lists and counters needs the state before any layer. It is written only if its deltas differ
from those of the older image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...catalog.layer_store import DELTA_SUFFIX
from ...common.errors import Conflict, Corrupt, InvalidInput, Unsupported
from ...layers.archive import Contents
from ...layers.entry import HIVE, Entry
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ...windows.installation import MAX_HIVE, exists, load_hive
from ...winregistry.delta import Delta
from ...winregistry.delta_format import read_delta
from ...winregistry.delta_merge import merge_deltas
from ...winregistry.differencing import delta_from_differencing
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES, LayerHive, hive_of_archive_name
from ...winregistry.hive_reader import read_hive
from ...winregistry.hive_writer import write_hive
from ...winregistry.merge_rules import compile_rules
from ...winregistry.required_keys import HiveState
from ..stack.stack_merge import MergedNode, MergedTree
from ..stored.compose_config import RegistrySummary
from .startup_check import check_merged_hive

#: Findings that are stored with an image; further findings are only counted.
MAX_FINDINGS = 500
_LOGS = (".LOG1", ".LOG2", ".LOG")
_TRANSACTIONS = (".blf", ".regtrans-ms")

#: Opens an archive and yields its entries.
Opener = Callable[[], Iterable[tuple[Entry, Contents]]]


@dataclass(frozen=True)
class StackedDelta:
    """The changes of a layer to a hive: label, bytes in the archive, and whether these are a differencing hive."""

    label: str
    data: bytes
    differencing: bool


@dataclass(frozen=True)
class RegistryChanges:
    """The changes that are merged into the hives of an image.

    ``deltas`` maps hive names to the changes of the layers, lowest layer first. ``merged`` are the digests
    of the deltas that the volume's hives already contain. ``built_on`` maps the label of a layer to the
    labels of its prerequisites. ``extra_rules`` define further settings that are lists.
    """

    deltas: Mapping[str, Sequence[StackedDelta]]
    merged: Mapping[str, str]
    built_on: Mapping[str, Collection[str]]
    extra_rules: Sequence[dict] = ()


@dataclass(frozen=True)
class MergedRegistry:
    """The outcome of merging: what is stored with the image, and the hive SYSTEM if a layer changes it."""

    summary: RegistrySummary
    system: Hive | None


def read_stacked_deltas(labels: Sequence[str], openers: Sequence[Opener]) -> dict[str, list[StackedDelta]]:
    """Return the changes of layers by hive name, lowest layer first; ``openers`` open their archives with hives.

    Raises:
        Unsupported images.layer_unknown_hive: a newer version of the collection built a layer.
        Corrupt images.layer_hive_size: the changes of a layer are larger than a hive can be.
    """
    deltas: dict[str, list[StackedDelta]] = {}
    for label, opener in zip(labels, openers):
        for entry, contents in opener():
            if entry.kind != HIVE:
                break  # Hives come first in an archive.
            known = hive_of_archive_name(f"Hives/{entry.path}")
            if known is None:
                _check_ignorable(entry, label)
                continue
            hive, differencing = known
            for _name, size, member in contents:
                if size > MAX_HIVE:
                    raise Corrupt(
                        f"The registry changes of {label} to the hive {hive.name} have {size} bytes; a hive has at most {MAX_HIVE}.",
                        code="images.layer_hive_size",
                        hint="Build the layer version again.",
                        layer=label,
                    )
                if size:
                    deltas.setdefault(hive.name, []).append(StackedDelta(label, member.read(), differencing))
    return deltas


def _check_ignorable(entry: Entry, label: str) -> None:
    """Raise unless a hive can be ignored: container layers also have deltas of SAM and SECURITY, which belong to a computer."""
    if entry.path.endswith(DELTA_SUFFIX):
        raise Unsupported(
            f"The registry hive {entry.path}, which {label} changes, is not known to this version of the collection.",
            code="images.layer_unknown_hive",
            hint="Update the collection strata.layering on this composer.",
            layer=label,
        )


def delta_digests(deltas: Mapping[str, Sequence[StackedDelta]], extra_rules: Sequence[dict] = ()) -> dict[str, str]:
    """Return, by hive name, the digest of all deltas and rules that are merged into it."""
    rules = json.dumps(list(extra_rules), sort_keys=True).encode()
    digests = {}
    for name, stacked in deltas.items():
        parts = [
            hashlib.sha256(part).digest()
            for part in (rules, *(delta.label.encode() + b"\0" + delta.data for delta in stacked))
        ]
        digests[name] = f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"
    return digests


def apply_registry(volume: Volume, original: Volume, tree: MergedTree, changes: RegistryChanges) -> MergedRegistry:
    """Write the changed hives into ``volume``; ``original`` is the volume of the OS layer, ``tree`` the merged stack.

    A hive that no layer changes any more becomes the hive of the OS layer again.

    Raises:
        Conflict images.layer_whole_hive: a layer replaces or removes a hive as a file.
        Conflict images.layer_no_hive: a layer changes a hive that the OS layer does not have.
        Conflict images.unbootable: the layers remove a key without which Windows does not start.
        Corrupt images.windows_no_hive: the volume lacks a hive.
        StrataError winregistry.*: a hive or a delta is damaged, or deltas cannot be merged.
    """
    hives = delta_digests(changes.deltas, changes.extra_rules)
    rules = compile_rules(changes.extra_rules)
    findings: list[dict] = []
    system = None
    for name in sorted(hives.keys() | changes.merged.keys()):
        hive = HIVES[name]
        stacked = changes.deltas.get(name, [])
        check_not_a_file(tree, hive, stacked)
        check_hive(original, hive, stacked)
        base = load_hive(original, hive.path)
        if stacked:
            deltas = decode_deltas(original, hive, stacked)
            before = HiveState.of(name, base)
            merged = merge_deltas(base, deltas, rules, base_label="the OS layer", seen=changes.built_on)
            check_merged_hive(before, base, deltas)
            findings += [finding.as_dict() for finding in merged.findings]
            system = base if name == "SYSTEM" else system
        if hives.get(name) != changes.merged.get(name):
            _replace(volume, hive.path, write_hive(base))
            _remove_logs(volume, hive.path)
    summary = RegistrySummary(hives=hives, findings=tuple(findings[:MAX_FINDINGS]), finding_count=len(findings))
    return MergedRegistry(summary, system)


def decode_deltas(original: Volume, hive: LayerHive, stacked: Sequence[StackedDelta]) -> list[tuple[str, Delta]]:
    """Return (label, delta) of the changes of layers to a hive; ``original`` is the volume of the OS layer."""
    return [(delta.label, read_layer_delta(original, hive, delta)) for delta in stacked]


def read_layer_delta(original: Volume, hive: LayerHive, stacked: StackedDelta) -> Delta:
    """Return the changes of a layer to a hive of the OS layer, mounted as ``original``.

    Raises:
        InvalidInput winregistry.differencing: the layer has a hive that is not a differencing hive.
        StrataError winregistry.*: the changes are damaged.
    """
    if not stacked.differencing:
        return read_delta(stacked.data, name=f"the hive {hive.name} in {stacked.label}")
    source = f"{hive.differencing or hive.name} of the {stacked.label}"
    layered = read_hive(stacked.data, name=source)
    try:
        return delta_from_differencing(load_hive(original, hive.path), layered, name=hive.name, source=source)
    except InvalidInput as error:
        error.details |= {"layer": stacked.label, "path": hive.path}
        raise


def check_not_a_file(tree: MergedTree, hive: LayerHive, stacked: Sequence[StackedDelta]) -> None:
    """Raise Conflict ``images.layer_whole_hive`` if a layer replaces or removes a hive in which layers change keys."""
    node: MergedNode | None = tree.root
    for part in hive.path.split("/"):
        node = node.children.get(tree.fold(part)) if node else None
        if node is not None and (node.is_leaf or node.hides) and stacked:
            label = tree.label(node)
            raise Conflict(
                f"The registry hive {hive.path} is replaced or removed as a file by {label}, but {stacked[0].label} changes keys in it.",
                code="images.layer_whole_hive",
                hint=f"Capture a new version of {label}, or build it without the file: captures contain the changes of the hive, "
                "and .reg files can change it.",
                path=hive.path,
                layer=label,
                changed_by=stacked[0].label,
            )


def check_hive(volume: Volume, hive: LayerHive, stacked: Sequence[StackedDelta]) -> None:
    """Raise Conflict ``images.layer_no_hive`` if layers change a hive that the OS layer, mounted as ``volume``, does not have."""
    if stacked and not exists(volume, hive.path):
        raise Conflict(
            f"The {stacked[0].label} changes the registry hive {hive.path}, which the OS layer does not have.",
            code="images.layer_no_hive",
            hint="Use an OS layer version with this hive, or build the layer without changes to the hive.",
            path=hive.path,
            layer=stacked[0].label,
        )


def _replace(volume: Volume, path: str, data: bytes) -> None:
    """Replace the content of a file and keep its metadata."""
    node = volume.find(path)
    if node is None:
        raise Corrupt(
            f"The registry hive {path} was removed from the volume while layers were applied.",
            code="images.windows_no_hive",
            hint="Import the OS layer again.",
            path=path,
        )
    with node:
        times = node.times
        node.remove_compression()
        with node.open_stream() as stream:
            stream.truncate(len(data), allocate=True)
            stream.pwrite(data, 0)
        node.set_times(times)


def _remove_logs(volume: Volume, path: str) -> None:
    """Empty the transaction logs of a hive and remove its transaction files, which belong to its former content.

    Windows creates them again when it loads the hive.
    """
    for suffix in _LOGS:
        node = volume.find(path + suffix)
        if node is not None:
            with node:
                if not node.is_directory and node.size:
                    times = node.times
                    node.remove_compression()
                    node.truncate(0)
                    node.set_times(times)
    directory, _slash, name = path.rpartition("/")
    for folder in (directory, f"{directory}/TxR"):
        node = volume.find(folder)
        if node is not None:
            with node:
                if node.is_directory:
                    _remove_transactions(node, name)


def _remove_transactions(folder: Node, hive_name: str) -> None:
    for listed in list(folder.children()):
        if listed.name.upper().startswith(hive_name.upper() + "{") and listed.name.lower().endswith(_TRANSACTIONS):
            child = folder.child(listed.name)
            if child is not None:
                child.delete()
