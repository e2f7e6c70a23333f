# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What composing refuses is found without composing. ``layer_stacks.changed`` checks the same for every stack of the other tests."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.images.stack.refusals import MAX_REFUSALS, find_refusals
from ansible_collections.strata.layering.plugins.module_utils.images.stack.stack_merge import merge
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ntfs import links
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.sample.tree import junction
from ansible_collections.strata.layering.tests.support.layer_stacks import SECURITIES, changed
from ansible_collections.strata.layering.tests.support.tree_model import Item

SYMLINK = struct.pack("<IHHHHHHI", 0xA000000C, 12, 0, 0, 200, 0, 200, 0)


def folder(path, **more):
    return Entry(path, "directory", more.pop("attributes", 0x10), 10, 20, 30, 40, **more)


def file(path, **more):
    return Entry(path, "file", more.pop("attributes", 0x20), more.pop("created", 10), 20, 30, 40, **more)


def removal(path):
    return Entry(path, "whiteout")


BASE = [
    folder("A folder with a long name", short_name="AFOLDE~1"),
    folder("elsewhere", attributes=0x410, reparse=junction("C:\\A folder with a long name")),
    file("plain"),
]

#: Entries of a layer, the code of the error, and the path that it names.
REFUSED = [
    ([folder("AFOLDE~1"), file("AFOLDE~1/x")], "images.layer_short_name", "AFOLDE~1"),
    ([file("afolde~1")], "images.layer_short_name", "afolde~1"),
    ([folder("elsewhere", implied=True), file("elsewhere/x")], "images.layer_below_link", "elsewhere"),
    ([file("$MFT")], "ntfs.system_file", "$MFT"),
    ([removal("$Extend")], "ntfs.system_file", "$Extend"),
    ([folder("$Extend", implied=True), file("$Extend/x")], "ntfs.system_file", "$Extend"),
    ([folder("$Extend")], "ntfs.system_file", "$Extend"),
    ([file("a<b")], "ntfs.name", "a<b"),
    ([folder("new", implied=True), file("new/a*b")], "ntfs.name", "new/a*b"),
    ([folder("a|b", implied=True), file("a|b/c")], "ntfs.name", "a|b"),
    ([file("new", short_name="not an 8.3 name")], "ntfs.short_name", "new"),
    ([file("new", security=b"nonsense")], "ntfs.security", "new"),
    ([file("new", security=SECURITIES[0][:4] + b"\xff" * 4 + bytes(12))], "ntfs.security", "new"),
    ([file("new", attributes=0x420, reparse=SYMLINK)], "ntfs.reparse", "new"),
    ([folder("new", attributes=0x410, reparse=junction("C:\\x")[:-2])], "ntfs.reparse", "new"),
    ([file("new", eas=b"\x10\0\0\0\0\xff\2\0NAME\0ok\0")], "ntfs.eas", "new"),
    ([folder("A folder with a long name", object_id=b"short")], "ntfs.object_id", "A folder with a long name"),
    ([file("new", created=1 << 64)], "ntfs.time", "new"),
    ([file("new", streams=[("a:b", 1)])], "ntfs.stream_name", "new"),
]
#: Errors of metadata that no archive contains today.
NOT_STORED = ("ntfs.time", "ntfs.stream_name", "ntfs.short_name", "ntfs.eas")


def refusals(blank, *stack) -> list[StrataError]:
    """Return what composing would refuse for layers of ``stack`` above BASE."""
    layers = [(f"app layer L 1.{number}", entries) for number, entries in enumerate(stack)]
    with changed(blank, [[Item(entry) for entry in BASE]]) as (device, _applied):
        with Volume.mount(device) as volume:
            return find_refusals(merge(layers, volume.upcase), volume)


@pytest.mark.parametrize(("entries", "code", "path"), REFUSED)
def test_refusal_names_the_layer_its_version_and_the_path(blank, entries, code, path):
    (error,) = refusals(blank, [file("fine")], entries)
    assert error.code == code
    assert error.hint
    assert error.details["path"] == path
    assert error.details["layer"] == "app layer L 1.1"
    assert "app layer L 1.1" in error.message


@pytest.mark.parametrize(
    ("entries", "code"),
    [(entries, code) for entries, code, _path in REFUSED if code not in NOT_STORED],
)
def test_layer_is_refused_when_it_is_applied(blank, entries, code):
    with changed(blank, [[Item(entry) for entry in BASE]]) as below, pytest.raises(StrataError) as caught:
        with changed((below[0], blank[1]), [[Item(entry) for entry in entries]]):
            pass
    assert caught.value.code == code
    assert caught.value.details["layer"] == "layer 0"


@pytest.mark.parametrize(
    "entries",
    [
        [removal("A folder with a long name"), file("AFOLDE~1")],
        [file("A folder with a long name"), file("other")],
        [folder("elsewhere"), file("elsewhere/x")],
        [removal("elsewhere"), folder("elsewhere", implied=True), file("elsewhere/x")],
        [removal("AFOLDE~1/x"), removal("nothing/there")],
        [folder("plain", implied=True), file("plain/x")],
        [file("trailing. "), file("nul")],
    ],
)
def test_stack_that_can_be_composed_has_no_refusals(blank, entries):
    assert refusals(blank, entries) == []
    with changed(blank, [[Item(entry) for entry in BASE]]) as below:
        with changed((below[0], blank[1]), [[Item(entry) for entry in entries]]):
            pass


@pytest.mark.parametrize(
    ("own", "count", "refused"), [(True, 1023, 0), (True, 1024, 1), (False, 1024, 0), (False, 1025, 1)]
)
def test_hard_links_above_the_limit_are_refused(blank, own, count, refused):
    entries = [
        file("target"),
        *(Entry(f"link {number}", "link", 0x20, link_target="target") for number in range(count)),
    ]
    above = [] if own else [file("target", size=1)]
    found = refusals(blank, entries, above)
    assert [error.code for error in found] == ["ntfs.too_many_links"] * refused
    assert all(error.details["layer"] == "app layer L 1.0" for error in found)
    assert links.MAXIMUM_LINKS == 1024


def test_number_of_refusals_is_limited(blank):
    assert len(refusals(blank, [file(f"{number}?") for number in range(2 * MAX_REFUSALS)])) == MAX_REFUSALS
