# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that modules trust: vCenter's by authority, a host's by authority or by the announced thumbprint."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import TEMPLATE, CaseEnvironment
from ansible_collections.strata.layering.tests.support.modules import fails, run

_WRONG_THUMBPRINT = ":".join(["AB"] * 20)
_MODULES = ("ovf_export", "layered_image_publish")


def options(environment: CaseEnvironment, module: str, **changes) -> dict:
    """Return the options of a module that transfers a disk."""
    common = environment.simulator.options() | {"ca_path": os.fspath(environment.simulator.ca_file)}
    own = {
        "ovf_export": {"name": environment.exported_vm, "file_share": os.fspath(environment.share)},
        "layered_image_publish": {
            "repository": os.fspath(environment.repository),
            "templates": [TEMPLATE],
            "retries": 0,
        },
    }[module]
    return common | own | changes


def test_host_with_announced_thumbprint_is_trusted(environment):
    done = run("ovf_export", **options(environment, "ovf_export"))
    assert done["files"]
    assert "validate_certs" not in str(done.get("warnings"))


@pytest.mark.parametrize("module", _MODULES)
def test_host_with_wrong_thumbprint_is_rejected_before_a_byte_is_sent(environment, module):
    environment.simulator.settings(thumbprint=_WRONG_THUMBPRINT)
    result = fails(module, "vsphere.thumbprint", **options(environment, module))
    assert _WRONG_THUMBPRINT in result["msg"]
    assert environment.simulator.journal(kind="nfc") == []


def test_host_with_trusted_authority_needs_no_thumbprint(environment, tmp_path):
    authorities = tmp_path / "authorities.pem"
    files = (environment.simulator.ca_file, environment.simulator.nfc_ca_file)
    authorities.write_text("".join(pathlib.Path(path).read_text() for path in files))
    environment.simulator.settings(thumbprint=_WRONG_THUMBPRINT)
    assert run("ovf_export", **options(environment, "ovf_export", ca_path=os.fspath(authorities)))["files"]


@pytest.mark.parametrize("module", _MODULES)
def test_vcenter_of_unknown_authority_is_rejected_before_a_call(environment, module):
    fails(module, "vsphere.certificate", **options(environment, module, ca_path=None))
    assert environment.simulator.journal(kind="soap") == []


@pytest.mark.parametrize("module", _MODULES)
def test_validate_certs_false_warns_once(environment, module):
    environment.simulator.settings(thumbprint=_WRONG_THUMBPRINT)
    done = run(module, **options(environment, module, ca_path=None, validate_certs=False))
    warnings = [str(warning) for warning in done["warnings"]]
    assert sum("validate_certs is false" in warning for warning in warnings) == 1, warnings


def test_validate_certs_false_warns_if_the_module_fails(environment):
    failed = fails(
        "ovf_export",
        "vsphere.not_found",
        **options(environment, "ovf_export", ca_path=None, validate_certs=False, name="nowhere"),
    )
    assert "validate_certs is false" in str(failed["warnings"])
