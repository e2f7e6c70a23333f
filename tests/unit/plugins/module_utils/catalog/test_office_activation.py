# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that layers with volume licenses of Office get by default."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.office_activation import (
    NAME,
    SCRIPT,
    ScriptChoice,
    office_script,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.scripts import Script

_TOOLS = pathlib.Path(__file__).resolve().parents[5] / "roles" / "os_machine" / "files" / "scripts"
_LICENSES = "Program Files/Microsoft Office/root/Licenses16"


def test_office_script_is_the_file_of_the_os_machine_tools():
    assert (_TOOLS / NAME).read_text(encoding="ascii") == SCRIPT
    assert office_script().text.data == SCRIPT.replace("\n", "\r\n").encode("ascii")
    assert office_script().text.warnings == ()


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        (f"{_LICENSES}/ProPlus2021VL_KMS_Client_AE-ppd.xrm-ms", True),
        ("program files (x86)/microsoft office/ROOT/licenses16/projectprovl_mak-pl.XRM-MS", True),
        (f"{_LICENSES}/O365ProPlusR_Subscription1-ppd.xrm-ms", False),
        (f"{_LICENSES}/ProPlus2021VL_KMS_Client_AE-ppd.txt", False),
        (f"{_LICENSES}/deeper/ProPlus2021VL.xrm-ms", False),
        ("Windows/System32/spp/tokens/skus/EnterpriseVL.xrm-ms", False),
    ],
)
def test_script_is_chosen_for_volume_licenses_only(path, chosen):
    script = ScriptChoice(None).for_paths(["Windows", path])
    assert (script is not None and script.name == NAME) == chosen
    assert ScriptChoice(None, office_activation=False).for_paths([path]) is None
    given = Script("own.cmd", b"exit /b 0")
    assert ScriptChoice(given).for_paths([path]) is given
