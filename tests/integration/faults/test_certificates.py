# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose certificate is trusted, as modules tell it: vCenter's by authority, a host's by authority or announced thumbprint, or neither and said."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import TEMPLATE, CaseEnvironment
from ansible_collections.strata.layering.tests.support.modules import fails, run

_WRONG = ":".join(["AB"] * 20)


@pytest.fixture
def environment(bench):
    with bench.environment() as opened:
        yield opened


def export(environment: CaseEnvironment, **changes) -> dict:
    """Options of ovf_export."""
    given = environment.simulator.options() | {
        "ca_path": os.fspath(environment.simulator.ca_file),
        "name": environment.machine,
        "file_share": os.fspath(environment.share),
    }
    return given | changes


def publish(environment: CaseEnvironment, **changes) -> dict:
    """Options of layered_image_publish."""
    given = environment.simulator.options() | {
        "ca_path": os.fspath(environment.simulator.ca_file),
        "repository": os.fspath(environment.repository),
        "templates": [TEMPLATE],
    }
    return given | {"retries": 0} | changes


def test_thumbprint_is_enough_for_a_host(environment):
    done = run("ovf_export", **export(environment))
    assert done["files"] and "validate_certs" not in str(done.get("warnings"))


def test_wrong_thumbprint_is_refused_before_a_byte_is_sent(environment):
    environment.simulator.settings(thumbprint=_WRONG)
    for module, options in (("ovf_export", export(environment)), ("layered_image_publish", publish(environment))):
        result = fails(module, "vsphere.thumbprint", **options)
        assert _WRONG in result["msg"]
    assert environment.simulator.journal(kind="nfc") == []


def test_authority_is_enough_for_a_host(environment, tmp_path):
    both = tmp_path / "authorities.pem"
    both.write_text(
        "".join(
            pathlib.Path(path).read_text()
            for path in (environment.simulator.ca_file, environment.simulator.nfc_ca_file)
        )
    )
    environment.simulator.settings(thumbprint=_WRONG)
    assert run("ovf_export", **export(environment, ca_path=os.fspath(both)))["files"]


def test_vcenter_of_an_unknown_authority_is_refused(environment):
    for module, options in (
        ("ovf_export", export(environment, ca_path=None)),
        ("layered_image_publish", publish(environment, ca_path=None)),
    ):
        fails(module, "vsphere.certificate", **options)
    assert environment.simulator.journal(kind="soap") == []


def test_no_check_is_said(environment):
    environment.simulator.settings(thumbprint=_WRONG)
    for module, options in (("ovf_export", export(environment)), ("layered_image_publish", publish(environment))):
        done = run(module, **options | {"ca_path": None, "validate_certs": False})
        assert sum("validate_certs is false" in warning for warning in map(str, done["warnings"])) == 1, done[
            "warnings"
        ]
    failed = fails(
        "ovf_export", "vsphere.not_found", **export(environment, ca_path=None, validate_certs=False, name="nowhere")
    )
    assert "validate_certs is false" in str(failed["warnings"])
