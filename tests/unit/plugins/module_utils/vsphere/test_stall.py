# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers on which no byte moves for a while."""

from __future__ import annotations

import errno
import socket
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError, TimedOut
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer import patient_socket
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.patient_socket import PatientSocket
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.vm_export import export_vm
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm

#: A host is silent for 3 s; the sockets wait in slices of 0.2 s.
SILENCE = {"after_bytes": 1 << 20, "delay_ms": 3000}


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch):
    monkeypatch.setattr(patient_socket, "_SLICE", 0.2)


@pytest.fixture
def deploy(session, placement, disk):
    def run(**changes):
        fields = {"name": "image", "capacity": disk.capacity, "blocks": disk.blocks, "length": disk.length}
        return deploy_vm(session, placement, **fields | changes)

    return run


def test_download_waits_for_a_silent_host_until_the_stall_timeout(simulator, session, machine, tmp_path):
    simulator.settings(lease_timeout=60)
    simulator.rules.add("NFC:GET", **SILENCE)
    assert export_vm(session, machine, str(tmp_path), stall_timeout=20).changed
    simulator.rules.add("NFC:GET", **SILENCE | {"delay_ms": 30000})
    started = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        export_vm(session, machine, str(tmp_path), stall_timeout=1, force=True)
    assert caught.value.code == "vsphere.no_answer"
    assert time.monotonic() - started < 15


def test_upload_waits_for_a_silent_host_until_the_stall_timeout(simulator, deploy):
    simulator.rules.add("NFC:PUT", **SILENCE)
    assert deploy(stall_timeout=20).verified
    assert len(simulator.journal(method="NFC:PUT")) == 1


def test_silent_transfer_ends_when_the_lease_ends(simulator, session, machine, tmp_path):
    simulator.settings(lease_timeout=2)
    simulator.rules.add("NFC:GET", **SILENCE | {"delay_ms": 60000})
    simulator.rules.add("HttpNfcLeaseProgress", fault="SystemError", count=None)
    started = time.monotonic()
    with pytest.raises(StrataError):
        export_vm(session, machine, str(tmp_path), stall_timeout=60)
    assert time.monotonic() - started < 20


def test_progress_is_reported_while_no_byte_moves(simulator, deploy):
    class Canceled(Exception):
        """Ends the upload from the callback."""

    seen = []

    def progress(step, done, total):
        seen.append(done)
        if len(seen) > 3 and seen[-1] == seen[-2]:
            raise Canceled

    simulator.rules.add("NFC:PUT", **SILENCE | {"delay_ms": 30000})
    started = time.monotonic()
    with pytest.raises(Canceled):
        deploy(stall_timeout=60, progress=progress)
    assert time.monotonic() - started < 20


def test_host_that_answers_no_probe_ends_the_transfer_at_once():
    patient = PatientSocket.__new__(PatientSocket)
    patient._stall, patient._tick = 60, lambda: pytest.fail("the host is lost")

    def lost():
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(TimeoutError):
        patient._patiently(lost)


def test_connection_to_a_host_has_tcp_keepalive(simulator, session, machine, tmp_path, monkeypatch):
    found = []
    original = PatientSocket.be_patient

    def spy(sock, stall, tick):
        found.append((stall, sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)))
        original(sock, stall, tick)

    monkeypatch.setattr(PatientSocket, "be_patient", spy)
    assert export_vm(session, machine, str(tmp_path)).changed
    assert [(stall, alive != 0) for stall, alive in found] == [(900, True)]
