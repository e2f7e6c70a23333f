# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files against the hives of an OS layer: its code page, and the keys that Windows needs."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.images.composing import reg_files
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import REG_SZ, encode_string
from ansible_collections.strata.layering.tests.sample import hives as sample_hives
from ansible_collections.strata.layering.tests.support.layer_stacks import changed
from ansible_collections.strata.layering.tests.support.tree_model import Item

CONFIG = "Windows/System32/config"


def system_hive(code_page: str | None) -> Hive:
    hive = sample_hives.small_system()
    if code_page is not None:
        key = hive.root.create("ControlSet001\\Control\\Nls\\CodePage")
        key.set_value("ACP", REG_SZ, encode_string(code_page))
    return hive


def volume_items(code_page: str | None) -> list[Item]:
    hives = {
        f"{CONFIG}/SYSTEM": system_hive(code_page),
        f"{CONFIG}/SOFTWARE": sample_hives.software(),
        "Users/Default/NTUSER.DAT": Hive.new("NTUSER.DAT"),
    }
    items = [
        Item(Entry(path, "directory", 0x10, 1, 2, 3, 4))
        for path in ("Windows", "Windows/System32", CONFIG, "Users", "Users/Default")
    ]
    for path, hive in hives.items():
        data = write_hive(hive)
        items.append(Item(Entry(path, "file", 0x20, 1, 2, 3, 4, size=len(data)), data))
    return items


@pytest.fixture
def build(blank, tmp_path, monkeypatch):
    """Return a function that builds the deltas of .reg files for an OS layer with an ANSI code page."""

    def built(*files: bytes, code_page: str | None = None, **options):
        paths = []
        for number, data in enumerate(files):
            path = tmp_path / f"{number}.reg"
            path.write_bytes(data)
            paths.append(str(path))
        with changed(blank, [volume_items(code_page)]) as (device, _applied):
            monkeypatch.setattr(
                reg_files,
                "mount_os_layer",
                lambda _repository, _digest, stack: stack.enter_context(Volume.mount(device)),
            )
            deltas = reg_files.deltas_from_files(None, "", paths, time=1, **options)
        return {name: read_delta(data) for name, data in deltas}

    return built


def regedit4(text: str, codec: str) -> bytes:
    return f'REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\{text}]\r\n"{text}"="{text}"\r\n'.encode(codec)


@pytest.mark.parametrize("code_page, text", [("1251", "Программа"), ("1252", "Größe"), ("932", "設定")])
def test_regedit4_file_is_read_in_the_code_page_of_the_os_layer(build, code_page, text):
    delta = build(regedit4(text, f"cp{code_page}"), code_page=code_page)["SOFTWARE"]
    (value,) = delta.key(text).values.values()
    assert (value.name, value.data) == (text, encode_string(text))


@pytest.mark.parametrize("code_page", [None, "0", "x", "1200"])
def test_regedit4_file_for_an_os_layer_without_a_known_code_page_is_refused(build, code_page):
    assert build(regedit4("ASCII", "ascii"), code_page=code_page)["SOFTWARE"].key("ASCII") is not None
    with pytest.raises(InvalidInput) as caught:
        build(regedit4("ASCII", "ascii"), regedit4("Größe", "cp1252"), code_page=code_page)
    assert caught.value.code == "winregistry.code_page"
    assert caught.value.details["line"] == 3
    assert "1.reg" in caught.value.message


def test_file_that_removes_all_classes_is_refused_for_new_versions_only(build):
    text = b"Windows Registry Editor Version 5.00\n[-HKEY_CLASSES_ROOT]\n"
    with pytest.raises(InvalidInput) as caught:
        build(b"REGEDIT4\n[HKEY_USERS\\Default\\Software]\n", text)
    assert caught.value.code == "winregistry.required_key"
    assert caught.value.details["line"] == 2
    assert caught.value.details["file"].endswith("1.reg")
    # Versions of earlier releases are compared with their files.
    assert list(build(text, must_start=False)) == ["SOFTWARE"]


def test_no_files_give_no_deltas(build):
    assert build() == {}
    assert build(b"REGEDIT4\n") == {}
