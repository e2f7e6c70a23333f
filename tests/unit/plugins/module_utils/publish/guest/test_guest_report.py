# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of the scripts in an image."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.publish.guest.guest_report import (
    cleared,
    failure,
    read_report,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.guest.script_titles import script_title

DIGEST = "sha256:0123456789abcdef" + "0" * 48
PREFIX = "guestinfo.strata.layering.scripts."


def reported(**changes: str) -> dict[str, str]:
    values = {"image": "0123456789abcdef", "state": "running", "current": "2/3 app layer Editor 1.0"} | changes
    return {PREFIX + key.replace("_", "."): value for key, value in values.items()} | {"guestinfo.other": "x"}


def test_read_report_returns_state_and_results():
    report = read_report(reported(result_02="3010", result_01="0", state="failed", code="5", output="it broke"), DIGEST)
    assert report.to_dict() == {
        "state": "failed",
        "current": "2/3 app layer Editor 1.0",
        "code": "5",
        "output": "it broke",
        "results": {"1": "0", "2": "3010"},
    }
    assert (
        failure(report)
        == 'Script 2 of 3 (app layer Editor 1.0) failed with exit code 5; the last line of its output is "it broke"'
    )


@pytest.mark.parametrize(
    ("current", "names", "title"),
    [
        ("1/1 image template", ["fail.cmd"], "script 1 of 1 (fail.cmd of the image template)"),
        ("2/2 app layer Editor 1.0", ["a.cmd", "b.ps1"], "script 2 of 2 (b.ps1 of the app layer Editor 1.0)"),
        ("2/3 app layer Editor 1.0", ["a.cmd", "b.ps1"], "script 2 of 3 (app layer Editor 1.0)"),
        ("2/3 app layer Editor 1.0", [], "script 2 of 3 (app layer Editor 1.0)"),
        ("0/1 image template", ["fail.cmd"], "script 0 of 1 (image template)"),
        ("setup", ["a.cmd"], "the script setup"),
        ("activation runato.cmd", ["a.cmd"], "the activation by runato.cmd"),
        ("wait network", [], "the wait for the network"),
        ("wait something", [], "the wait something"),
    ],
)
def test_script_title_has_number_file_and_origin(current, names, title):
    assert script_title(current, names) == title


def test_failure_describes_interrupted_and_unknown_scripts():
    assert "was interrupted three times; it wrote no output" in failure(
        read_report(reported(state="failed", code="interrupted"), DIGEST)
    )
    assert "of unknown name failed with exit code unknown" in failure(
        read_report(reported(state="failed", current=""), DIGEST)
    )


@pytest.mark.parametrize("changes", [{"image": "fedcba9876543210"}, {"image": ""}, {"state": "dancing"}, {"state": ""}])
def test_read_report_about_a_different_image_or_state_is_none(changes):
    assert read_report(reported(**changes), DIGEST) is None
    assert read_report({}, DIGEST) is None


def test_read_report_bounds_values_and_replaces_control_characters():
    flood = {f"result_{number}": "1" * 1000 for number in range(2000)}
    report = read_report(reported(output="a\x1b[31mb\r\n" + "x" * 5000, **flood), DIGEST)
    assert len(report.output) <= 200
    assert report.output.startswith("a [31mb")
    assert report.output.isprintable()
    assert len(report.results) == 500
    assert all(len(code) == 200 for number, code in report.results)


def test_read_report_returns_activation_as_a_result_and_waits():
    values = {
        "result_activation": "9",
        "result_01": "0",
        "wait_network": "timeout",
        "wait_devices": "?",
        "wait_x": "ready",
    }
    report = read_report(reported(**values, state="failed", current="activation runato.cmd", code="9"), DIGEST)
    assert report.to_dict()["results"] == {"activation": "9", "1": "0"}
    assert report.to_dict()["waits"] == {"devices": "unknown", "network": "timeout"}
    assert failure(report) == "The activation by runato.cmd failed with exit code 9; it wrote no output"


def test_report_of_earlier_tools_has_neither_activation_nor_waits():
    report = read_report(reported(result_01="0"), DIGEST)
    assert report.activation is None
    assert report.to_dict()["results"] == {"1": "0"}
    assert "waits" not in report.to_dict()


def test_failure_of_a_wait_names_what_is_awaited():
    report = read_report(reported(state="failed", current="wait devices", code="timeout"), DIGEST)
    assert "the installation of devices" in failure(report)
    assert "exit code" not in failure(report)


def test_read_report_hides_product_keys():
    key = "ABCDE-FGHIJ-12345-KLMNO-PQRST"
    report = read_report(reported(output=f"slmgr /ipk {key}", current=f"1/1 {key.lower()}"), DIGEST)
    assert key not in str(report.to_dict()).upper()
    identifier = "{01234567-89ab-cdef-0123-456789abcdef}"
    assert read_report(reported(output=identifier), DIGEST).output == identifier


def test_cleared_removes_only_reports():
    assert cleared(reported(result_01="0")) == dict.fromkeys(
        (PREFIX + key for key in ("image", "state", "current", "result.01")), ""
    )
