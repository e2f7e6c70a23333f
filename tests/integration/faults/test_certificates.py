# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose certificate is trusted, as modules tell it: vCenter's by authority, a host's by authority or announced thumbprint, or neither and said."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.strata.layering.tests.integration.faults.bench import TEMPLATE, Room
from ansible_collections.strata.layering.tests.support.modules import fails, run

_WRONG = ":".join(["AB"] * 20)


@pytest.fixture
def room(bench):
    with bench.room() as opened:
        yield opened


def export(room: Room, **changes) -> dict:
    """Options of ovf_export."""
    given = room.simulator.options() | {
        "ca_path": os.fspath(room.simulator.ca_file),
        "name": room.machine,
        "file_share": os.fspath(room.share),
    }
    return given | changes


def publish(room: Room, **changes) -> dict:
    """Options of layered_image_publish."""
    given = room.simulator.options() | {
        "ca_path": os.fspath(room.simulator.ca_file),
        "repository": os.fspath(room.repository),
        "templates": [TEMPLATE],
    }
    return given | {"retries": 0} | changes


def test_thumbprint_is_enough_for_a_host(room):
    done = run("ovf_export", **export(room))
    assert done["files"] and "validate_certs" not in str(done.get("warnings"))


def test_wrong_thumbprint_is_refused_before_a_byte_is_sent(room):
    room.simulator.settings(thumbprint=_WRONG)
    for module, options in (("ovf_export", export(room)), ("layered_image_publish", publish(room))):
        result = fails(module, "vsphere.thumbprint", **options)
        assert _WRONG in result["msg"]
    assert room.simulator.journal(kind="nfc") == []


def test_authority_is_enough_for_a_host(room, tmp_path):
    both = tmp_path / "authorities.pem"
    both.write_text(
        "".join(pathlib.Path(path).read_text() for path in (room.simulator.ca_file, room.simulator.nfc_ca_file))
    )
    room.simulator.settings(thumbprint=_WRONG)
    assert run("ovf_export", **export(room, ca_path=os.fspath(both)))["files"]


def test_vcenter_of_an_unknown_authority_is_refused(room):
    for module, options in (
        ("ovf_export", export(room, ca_path=None)),
        ("layered_image_publish", publish(room, ca_path=None)),
    ):
        fails(module, "vsphere.certificate", **options)
    assert room.simulator.journal(kind="soap") == []


def test_no_check_is_said(room):
    room.simulator.settings(thumbprint=_WRONG)
    for module, options in (("ovf_export", export(room)), ("layered_image_publish", publish(room))):
        done = run(module, **options | {"ca_path": None, "validate_certs": False})
        assert sum("validate_certs is false" in warning for warning in map(str, done["warnings"])) == 1, done[
            "warnings"
        ]
    failed = fails(
        "ovf_export", "vsphere.not_found", **export(room, ca_path=None, validate_certs=False, name="nowhere")
    )
    assert "validate_certs is false" in str(failed["warnings"])
