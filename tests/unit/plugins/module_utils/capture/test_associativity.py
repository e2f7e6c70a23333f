# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joining layers is associative if they do not contradict each other: (A + B) + C = A + (B + C) = A + B + C.

Two layers are joined by composing them and capturing the result.
"""

from __future__ import annotations

import io
import itertools
import struct

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.images.planning.conflicts import StackClaims
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_names import HIVES
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_string
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.sample.tree import symlink
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import tree_differences
from ansible_collections.strata.layering.tests.support.layer_stacks import EAS, SECURITIES, content
from ansible_collections.strata.layering.tests.support.registry_data import hive_content
from ansible_collections.strata.layering.tests.support.tree_model import Item

_TIME = 132_000_000_000_000_000
_NUMBERS = itertools.count(1)
#: Folders that layers share: of the base, and new folders.
FOLDERS = ("Program Files/Alpha", "Data/one/two", "Data", "Shared", "Shared/below")
NAMES = ("short.txt", "a longer name.text", "\u00e4\u00f6\u00fc.dat", "Same name")
BASE_FILES = [
    f"{folder}/file number {number}.dat"
    for folder in ("Program Files/Alpha", "Data/one/two", "Program Files/Beta and more")
    for number in (0, 2, 4)
]
ENVIRONMENT = "ControlSet001\\Control\\Session Manager\\Environment"


@st.composite
def stacks(draw):
    """Draw three layers, each ``(items, registry)``, that do not contradict each other.

    Every path and every registry value belongs to one layer, or to several layers with the same content.
    """
    owners = st.sets(st.integers(0, 2), min_size=1, max_size=3)
    layers = [([], []) for _number in range(3)]
    for number in draw(st.lists(st.integers(0, 11), max_size=8, unique=True)):
        folder, name = FOLDERS[number % len(FOLDERS)], NAMES[number % len(NAMES)]
        chosen = draw(owners)
        added = draw(_things(f"{folder}/{number} {name}", number))
        for owner in chosen:
            layers[owner][0].extend(added)
    for path in draw(st.lists(st.sampled_from(BASE_FILES), max_size=4, unique=True)):
        removes, kind = draw(st.booleans()), draw(st.integers(0, 9))
        for owner in draw(owners):
            layers[owner][0].append(Item(Entry(path, "whiteout")) if removes else _file(path, content(kind, 9000)))
    for number in draw(st.lists(st.integers(0, 5), max_size=4, unique=True)):
        for owner in draw(owners):
            layers[owner][1].append(("SOFTWARE", f"Strata\\Part {number % 2}", f"value {number}", number))
    for owner in draw(st.sets(st.integers(0, 2))):
        layers[owner][1].append(("SYSTEM", ENVIRONMENT, "Path", owner))
    return layers


def _file(path, data, **more):
    return Item(
        Entry(
            path, "file", 0x20, _TIME, _TIME + 1, _TIME + 2, _TIME + 3, security=SECURITIES[0], size=len(data), **more
        ),
        data,
    )


@st.composite
def _things(draw, path, number):
    """Draw a file, a file with two names, a link, or a folder with metadata and a file."""
    data = content(draw(st.integers(0, 9)), draw(st.sampled_from([0, 10, 800, 70_000, 300_000])))
    kind = draw(st.sampled_from(["file", "rich file", "linked file", "symbolic link", "folder"]))
    short = f"S{number}~1" if draw(st.booleans()) else None
    if kind == "folder":
        folder = Entry(
            path, "directory", 0x12, _TIME, _TIME + 4, _TIME + 4, _TIME + 4, security=SECURITIES[1], short_name=short
        )
        return [Item(folder), _file(f"{path}/inside", data)]
    if kind == "symbolic link":
        return [
            Item(
                Entry(
                    path,
                    "file",
                    0x420,
                    _TIME,
                    _TIME,
                    _TIME,
                    _TIME,
                    security=SECURITIES[0],
                    reparse=symlink("a\\b", relative=True),
                )
            )
        ]
    item = _file(path, data, short_name=short)
    if kind == "rich file":
        item.streams = {"Zone.Identifier": b"[ZoneTransfer]", "large": content(3, 9000)}
        item.entry.streams = [(name, len(stream)) for name, stream in item.streams.items()]
        item.entry.eas, item.entry.object_id, item.entry.attributes = EAS, struct.pack("<QQ", 7, number), 0x23
    if kind == "linked file":
        return [item, Item(Entry(f"{path} again", "link", 0x20, link_target=path))]
    return [item]


def stored(packaging, items, registry) -> LayerVersion:
    """Store and return a layer of these files and registry values."""

    def opener(item):
        return lambda name: io.BytesIO(item.streams[name] if name else item.data)

    deltas = []
    for name, base in (("SOFTWARE", hives.software), ("SYSTEM", hives.small_system)):
        before, after = base(), base()
        for hive, key, value, number in registry:
            if hive == name and value == "Path":
                present = after.root.key(key).value(value)
                after.root.key(key).set_value(
                    value, present.type, present.data[:-2] + encode_string(f";C:\\App {number}")
                )
            elif hive == name:
                after.root.create(key).set_value(value, 1, encode_string(f"text {number}"))
        delta = compute_delta(before, after, name=name)
        if not delta.is_empty:
            deltas.append((name, write_delta(delta)))
    ordered = sorted(items, key=lambda item: (item.entry.kind == "link", item.entry.path))
    layer = LayerVersion("app", f"Layer {next(_NUMBERS)}", "1")
    return layer_store.put_files(
        packaging.repository, layer, [(item.entry, opener(item)) for item in ordered], hives=deltas
    )


def joined(packaging, below, layers) -> LayerVersion:
    """Return the layer that contains ``layers``, captured on a disk with the layers ``below``."""
    base_image = packaging.compose(below)
    layer = LayerVersion(
        "app", f"Joined {next(_NUMBERS)}", "1", prerequisites=[prerequisite.reference() for prerequisite in below]
    )
    with packaging.grow(base_image, layers).open_disk() as disk:
        result = capture(packaging.repository, base_image, lambda: disk, layer)
    assert result.left_out == []
    return result.layer


def state(packaging, layers):
    """Return the content of an image of these layers: its tree without hives, and the hives."""
    image = packaging.compose(layers)
    found = {}
    with image.open_disk() as disk:
        tree = packaging.tree(disk)
        with Volume.mount(packaging.partition.window(disk)) as volume:
            for hive in HIVES.values():
                node = volume.find(hive.path)
                if node is not None:
                    with node:
                        found[hive.name] = hive_content(read_hive(node.read()).root)
    return {path: name for path, name in tree.items() if path not in {hive.path for hive in HIVES.values()}}, found


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_capture_layers_in_any_grouping_gives_the_same_image(packaging, drawn):
    a, b, c = (stored(packaging, items, registry) for items, registry in drawn)
    records = [stored_layers.records(packaging.repository, layer) for layer in (a, b, c)]
    assert StackClaims(records, str.upper).conflicts() == []
    event(f"{sum(map(len, records))} entries, {sum(len(registry) for _items, registry in drawn)} values")
    expected, registry = state(packaging, [a, b, c])
    for layers in (
        [joined(packaging, [], [a, b]), c],
        [a, joined(packaging, [a], [b, c])],
        [joined(packaging, [], [a, b, c])],
    ):
        tree, found = state(packaging, layers)
        assert tree_differences(expected, tree) == []
        assert found == registry
