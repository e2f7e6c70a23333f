# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security descriptors of the sample: bytes, inheritance, and agreement with the engine's own inheritance."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.ntfs import file_security
from ansible_collections.strata.layering.tests.sample import acl, sddl
from ansible_collections.strata.layering.tests.support.sids import sid_text


def _text(aces):
    return [(kind, flags, mask, sid_text(sid)) for kind, flags, mask, sid in aces]


def test_descriptor_has_the_expected_bytes():
    found = sddl.compile_sddl("O:BAG:SYD:PAI(A;OICI;FA;;;SY)")
    assert found == bytes.fromhex(
        "0100 0494 30000000 40000000 00000000 14000000"
        "0200 1c00 01000000 00031400 ff011f00 010100000000000512000000"
        "01020000000000052000000020020000"
        "010100000000000512000000"
    )


def test_deny_and_hexadecimal_rights():
    aces = sddl.parts(sddl.compile_sddl("O:SYG:SYD:P(D;;CC;;;WD)(A;;0x1200a9;;;BU)"))[2]
    assert _text(aces) == [(1, 0, 1, "S-1-1-0"), (0, 0, 0x1200A9, "S-1-5-32-545")]


def test_unknown_text_is_rejected():
    for text in ("D:(A;;FA;;;SY)", "O:SYG:SYD:(A;;FA;;;SY)S:(AU;;FA;;;WD)"):
        with pytest.raises(ValueError):
            sddl.compile_sddl(text)


def test_folder_below_program_files_inherits_as_in_windows():
    aces = sddl.parts(sddl.inherit(acl.own("Program Files"), True))[2]
    assert _text(aces)[:5] == [
        (0, 0x10, 0x1F01FF, "S-1-5-18"),
        (0, 0x1B, 0x10000000, "S-1-5-18"),
        (0, 0x10, 0x1F01FF, "S-1-5-32-544"),
        (0, 0x1B, 0x10000000, "S-1-5-32-544"),
        (0, 0x10, 0x1200A9, "S-1-5-32-545"),
    ]
    assert (0, 0x1B, 0x10000000, "S-1-3-0") in _text(aces)


def test_file_below_program_data_inherits_no_inheritable_entries():
    aces = sddl.parts(sddl.inherit(acl.own("ProgramData"), False))[2]
    assert _text(aces) == [
        (0, 0x10, 0x1F01FF, "S-1-5-18"),
        (0, 0x10, 0x1F01FF, "S-1-5-32-544"),
        (0, 0x10, 0x1200A9, "S-1-5-32-545"),
    ]


def test_no_propagate_ends_after_one_level():
    parent = sddl.compile_sddl("O:BAG:SYD:(A;OICINP;FA;;;BA)")
    assert _text(sddl.parts(sddl.inherit(parent, True))[2]) == [(0, 0x10, 0x1F01FF, "S-1-5-32-544")]


@pytest.mark.parametrize("is_directory", [True, False])
@pytest.mark.parametrize(
    "path", ["", "Windows", "Program Files", "ProgramData", "Users", "Users/Public", "Windows/Temp", "Windows/WinSxS"]
)
def test_engine_inherits_the_same_rights(path, is_directory):
    parent = acl.own(path)
    system = sddl.sid_bytes("SY")
    ours = sddl.parts(sddl.inherit(parent, is_directory))
    theirs = sddl.parts(file_security.inherit(parent, is_directory, owner=system, group=system))
    assert theirs[:2] == ours[:2]
    # The engine may repeat an entry that changes nothing.
    assert set(theirs[2]) == set(ours[2]) | _covered(ours[2], theirs[2])


def _covered(ours, theirs):
    """Return the effective entries of the engine that an entry of the sample grants already."""
    return {
        ace
        for ace in theirs
        if not ace[1] & 8 and any(known[2:] == ace[2:] and known[0] == ace[0] and not known[1] & 8 for known in ours)
    }
