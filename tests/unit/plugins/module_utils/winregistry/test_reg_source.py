# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.reg_source import (
    RegFile,
    check_required_keys,
    deltas_from_reg_files,
    locate,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.reg_text import (
    CreateKey,
    DeleteKey,
    DeleteValue,
    SetValue,
    read_reg,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_DWORD,
    REG_LINK,
    REG_SZ,
    encode_string,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.required_keys import (
    REQUIRED_KEYS,
    resolved_names,
)
from ansible_collections.strata.layering.tests.support.reg_files import apply
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

from .delta_helpers import content, few_names, trees

HEADER = "Windows Registry Editor Version 5.00\r\n\r\n"


def bases() -> dict[str, Hive]:
    hives = {name: Hive.new(name, last_written=5) for name in ("SYSTEM", "SOFTWARE", "DEFAULT", "NTUSER.DAT")}
    hives["SYSTEM"].root.create("Select").set_value("Current", REG_DWORD, encode_dword(2))
    hives["SYSTEM"].root.create("ControlSet001")
    hives["SYSTEM"].root.create("ControlSet002\\Services\\Spooler").set_value("Start", REG_DWORD, encode_dword(2))
    hives["SOFTWARE"].root.create("Classes\\.txt").set_value("", REG_SZ, encode_string("txtfile"))
    hives["SOFTWARE"].root.create("Classes\\Wow6432Node\\CLSID")
    link(hives["SOFTWARE"], "Wow6432Node\\Classes", "\\Registry\\Machine\\Software\\Classes\\Wow6432Node")
    link(
        hives["SYSTEM"],
        "ControlSet002\\Hardware Profiles\\Current",
        "\\Registry\\Machine\\System\\CurrentControlSet\\Hardware Profiles\\0001",
    )
    hives["SYSTEM"].root.create("ControlSet002\\Hardware Profiles\\0001")
    return hives


def link(hive: Hive, path: str, target: str) -> None:
    key = hive.root.create(path)
    key.flags |= cell_layout.KEY_SYM_LINK
    key.set_value("SymbolicLinkValue", REG_LINK, target.encode("utf-16-le"))


def deltas_of(text: str, **arguments) -> dict:
    operations = read_reg((HEADER + text).encode(), source="app.reg")
    result = deltas_from_reg_files([RegFile("app.reg", operations)], bases(), **arguments)
    return {hive: read_delta(write_delta(delta)) for hive, delta in result.items()}


def described(delta) -> list:
    return [
        (path, key.action, [(value.name, value.data) for value in key.values.values()])
        for path, key in delta.walk()
        if key.action != deltas.KEEP or key.values
    ]


@pytest.mark.parametrize(
    "path, hive, below",
    [
        ("HKEY_LOCAL_MACHINE\\SYSTEM", "SYSTEM", []),
        ("hkey_local_machine\\Software\\A\\B", "SOFTWARE", ["A", "B"]),
        ("HKEY_CLASSES_ROOT\\.txt", "SOFTWARE", ["Classes", ".txt"]),
        ("HKEY_USERS\\.default\\Software", "DEFAULT", ["Software"]),
        ("HKEY_USERS\\S-1-5-18", "DEFAULT", []),
        ("HKEY_USERS\\Default\\Environment", "NTUSER.DAT", ["Environment"]),
        ("HKEY_CURRENT_USER\\Environment", "NTUSER.DAT", ["Environment"]),
    ],
)
def test_locate_key_of_a_layer_hive(path, hive, below):
    assert locate(path) == (hive, below)


@pytest.mark.parametrize(
    "path",
    [
        "HKEY_LOCAL_MACHINE",
        "HKEY_LOCAL_MACHINE\\SAM\\SAM",
        "HKEY_LOCAL_MACHINE\\SECURITY",
        "HKEY_USERS\\S-1-5-21-1",
        "HKEY_USERS\\S-1-5-20",
        "HKEY_USERS\\DefaultUser",
        "HKEY_USERS",
        "HKEY_CURRENT_CONFIG",
        "HKEY_DYN_DATA\\x",
        "",
    ],
)
def test_locate_other_key_is_none(path):
    assert locate(path) is None


def test_file_gives_a_delta_for_each_hive():
    result = deltas_of(
        """[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Spooler]
"Start"=dword:00000004
"Absent"=-
[HKEY_CLASSES_ROOT\\.new]
@="newfile"
[HKEY_CURRENT_USER\\Software\\Vendor]
[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Classes\\.txt]
""",
        last_written=99,
    )
    assert sorted(result) == ["NTUSER.DAT", "SOFTWARE", "SYSTEM"]
    assert described(result["SYSTEM"]) == [
        ("ControlSet002\\Services\\Spooler", deltas.KEEP, [("Start", encode_dword(4)), ("Absent", None)])
    ]
    assert result["SYSTEM"].key("controlset002\\services\\spooler").values["START"].before.data == encode_dword(2)
    assert described(result["SOFTWARE"]) == [
        ("Classes\\.new", deltas.CREATE, [("", encode_string("newfile"))]),
        ("Classes\\.txt", deltas.REMOVE, []),
    ]
    assert described(result["NTUSER.DAT"]) == [("Software", deltas.CREATE, []), ("Software\\Vendor", deltas.CREATE, [])]
    assert result["NTUSER.DAT"].key("Software").security is None
    assert result["NTUSER.DAT"].key("Software").last_written == 99
    assert result["SYSTEM"].key("ControlSet002\\Services").last_written is None


def test_key_deleted_and_created_again_is_replaced():
    result = deltas_of("""[-HKEY_CLASSES_ROOT\\.TXT]
[HKEY_CLASSES_ROOT\\.TXT\\Below]
"a"="b"
"a"=-
[-HKEY_CLASSES_ROOT\\.TXT\\Gone]
""")["SOFTWARE"]
    assert described(result) == [("Classes\\.TXT", deltas.REPLACE, []), ("Classes\\.TXT\\Below", deltas.CREATE, [])]
    hive = bases()["SOFTWARE"]
    apply_delta(hive, result)
    assert hive.key("Classes\\.txt").name == ".TXT"
    assert not hive.key("Classes\\.txt").values


def test_symbolic_links_are_followed():
    result = deltas_of("""[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Classes\\CLSID\\{1}]
@="x"
[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Hardware Profiles\\Current\\System]
""")
    assert [path for path, _action, _values in described(result["SOFTWARE"])] == ["Classes\\Wow6432Node\\CLSID\\{1}"]
    assert [path for path, _action, _values in described(result["SYSTEM"])] == [
        "ControlSet002\\Hardware Profiles\\0001\\System"
    ]
    removed = deltas_of("[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Classes]\r\n")["SOFTWARE"]
    assert described(removed) == [("Wow6432Node\\Classes", deltas.REMOVE, [])]


def test_deleted_symbolic_link_is_not_followed():
    result = deltas_of("""[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Classes]
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Classes\\New]
[-HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Hardware Profiles]
[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Hardware Profiles\\Current\\New]
""")
    assert described(result["SOFTWARE"]) == [
        ("Wow6432Node\\Classes", deltas.REPLACE, []),
        ("Wow6432Node\\Classes\\New", deltas.CREATE, []),
    ]
    assert [path for path, _action, _values in described(result["SYSTEM"])][
        -1
    ] == "ControlSet002\\Hardware Profiles\\Current\\New"


@pytest.mark.parametrize("target", ["\\Registry\\Machine\\Other\\x", "\\Registry\\Machine\\Software\\Loop", ""])
def test_symbolic_link_out_of_the_hive_is_rejected(target):
    hives = bases()
    link(hives["SOFTWARE"], "Loop", target)
    with pytest.raises(InvalidInput) as caught:
        deltas_from_reg_files([RegFile("app.reg", [CreateKey("HKEY_LOCAL_MACHINE\\SOFTWARE\\Loop\\x", 7)])], hives)
    assert caught.value.code == "winregistry.source"
    assert caught.value.details["line"] == 7


@pytest.mark.parametrize(
    "text, line",
    [
        ("[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\r\n\r\n[HKEY_LOCAL_MACHINE\\SAM\\x]\r\n", 5),
        ("[HKEY_CURRENT_USER\\Software\\Classes\\.x]\r\n", 3),
        ("[-HKEY_LOCAL_MACHINE\\SOFTWARE]\r\n", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM]\r\n", 3),
        ("[-HKEY_USERS\\.DEFAULT]\r\n", 3),
        ("[-HKEY_CURRENT_USER]\r\n", 3),
        ("[-HKEY_USERS\\Default]\r\n", 3),
        ("[-HKEY_LOCAL_MACHINE]\r\n", 3),
        ("[-HKEY_LOCAL_MACHINE\\SAM]\r\n", 3),
        ("[HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software]\r\n", 3),
        ("[HKEY_USERS\\S-1-5-20\\Software]\r\n", 3),
        ("[HKEY_USERS\\Default\\Software\\Classes\\CLSID]\r\n", 3),
        (f"[HKEY_LOCAL_MACHINE\\SOFTWARE\\{'x' * 257}]\r\n", 3),
    ],
)
def test_key_that_layers_cannot_contain_is_rejected_with_its_line(text, line):
    with pytest.raises(InvalidInput) as caught:
        deltas_of(text)
    assert caught.value.code == "winregistry.source"
    assert caught.value.details["line"] == line
    assert "app.reg" in caught.value.message


def test_several_files_refused_operation_names_its_own_file():
    files = [
        RegFile(name, read_reg((HEADER + text).encode(), source=name))
        for name, text in (("/a/1.reg", "[HKEY_CURRENT_USER\\A]"), ("/b/1.reg", "\r\n[HKEY_LOCAL_MACHINE\\SAM\\x]"))
    ]
    with pytest.raises(InvalidInput) as caught:
        deltas_from_reg_files(files, bases())
    assert (caught.value.details["file"], caught.value.details["line"]) == ("/b/1.reg", 4)
    assert "/b/1.reg" in caught.value.message


def startable() -> dict[str, Hive]:
    """Return hives with every required key, and services that are enabled."""
    hives = bases()
    for required in REQUIRED_KEYS:
        path = "\\".join(resolved_names(required, "ControlSet002"))
        key = hives[required.hive].root.create(path)
        if required.service:
            key.set_value("Start", REG_DWORD, encode_dword(0))
    for hive in hives.values():
        hive.root.create("Vendor\\Product")
    return hives


def checked(text: str, hives: dict[str, Hive]) -> None:
    files = [RegFile("app.reg", read_reg((HEADER + text).encode(), source="app.reg"))]
    check_required_keys(files, hives, deltas_from_reg_files(files, hives))


@pytest.mark.parametrize(
    "text, line",
    [
        ("[-HKEY_CLASSES_ROOT]", 3),
        ("[HKEY_CLASSES_ROOT\\.x]\r\n[-hkey_classes_root\\clsid]", 4),
        ("[-HKEY_CLASSES_ROOT]\r\n[HKEY_CLASSES_ROOT\\.x]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\Select]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\controlset002\\Control]", 3),
        ("[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\disk]", 3),
        ('[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\RpcSs]\r\n"start"=dword:4', 4),
        ('[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\r\n"Current"=dword:9', 4),
        ('[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\r\n"Current"=-', 4),
        ("[-HKEY_USERS\\.DEFAULT\\Software]", 3),
        ("[-HKEY_CURRENT_USER\\Control Panel]", 3),
    ],
)
def test_change_without_which_windows_starts_is_refused_with_its_line(text, line):
    with pytest.raises(InvalidInput) as caught:
        checked(text, startable())
    assert caught.value.code == "winregistry.required_key"
    assert (caught.value.details["file"], caught.value.details["line"]) == ("app.reg", line)


@pytest.mark.parametrize(
    "text",
    [
        "[-HKEY_CLASSES_ROOT\\CLSID\\{1}]\r\n[-HKEY_CLASSES_ROOT\\.txt]",
        "[-HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001]",
        "[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Spooler]",
        '[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\disk]\r\n"Start"=dword:0',
        '[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\r\n"Current"=dword:1',
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Ole]\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Ole]",
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor]\r\n[-HKEY_CURRENT_USER\\Vendor]",
    ],
)
def test_change_with_which_windows_starts_is_accepted(text):
    hives = startable()
    if "dword:1" in text:
        copied = hives["SYSTEM"].key("ControlSet002").copy()
        copied.name = "ControlSet003"
        hives["SYSTEM"].root.add(copied)
        text = text.replace("dword:1", "dword:3")
    checked(text, hives)


def test_key_that_the_os_layer_lacks_is_not_required():
    checked("[-HKEY_CLASSES_ROOT\\CLSID]\r\n[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Enum]", bases())


def test_missing_hive_is_rejected():
    with pytest.raises(InvalidInput) as caught:
        deltas_from_reg_files([RegFile("app.reg", [CreateKey("HKEY_USERS\\.DEFAULT\\x")])], {})
    assert caught.value.code == "winregistry.source"
    with pytest.raises(Corrupt) as damaged:
        deltas_from_reg_files(
            [RegFile("app.reg", [CreateKey("HKEY_LOCAL_MACHINE\\SYSTEM\\x")])], {"SYSTEM": Hive.new()}
        )
    assert damaged.value.code == "winregistry.no_control_set"


paths = st.lists(few_names, min_size=1, max_size=3).map("\\".join)
operations = st.lists(
    st.one_of(
        st.builds(CreateKey, paths),
        st.builds(DeleteKey, paths),
        st.builds(DeleteValue, paths, few_names),
        st.builds(SetValue, paths, few_names, st.just(3), st.binary(max_size=2)),
    ),
    max_size=12,
)


@given(trees(name=few_names, most=10), operations, st.sampled_from([None, 99]))
@settings(max_examples=80, deadline=None)
def test_delta_has_the_effect_of_the_operations(base, done, time):
    done = [
        type(operation)(
            f"HKEY_LOCAL_MACHINE\\SOFTWARE\\{operation.path}",
            *[getattr(operation, slot) for slot in operation.__slots__[1:]],
        )
        for operation in done
    ]
    for _path, key in base.root.walk():
        key.flags &= ~cell_layout.KEY_SYM_LINK
        key.security = base.root.security
    expected = Hive(base.root.copy(), base_block=bytes(base.base_block))
    apply(expected.root, done, "HKEY_LOCAL_MACHINE\\SOFTWARE")
    for delta in deltas_from_reg_files([RegFile("app.reg", done)], {"SOFTWARE": base}, last_written=time).values():
        apply_delta(base, read_delta(write_delta(delta)))
    assert comparable(base.root) == comparable(expected.root)


def comparable(root: Key) -> dict:
    """The content without the order of values: a value that is deleted and set again counts as set."""
    return {path: (*rest, sorted(values)) for path, (*rest, values) in content(root).items()}
