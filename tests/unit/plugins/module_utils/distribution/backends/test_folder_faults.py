# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushes to folders that are interrupted: lost connections, killed processes, and a server that refuses for a moment."""

from __future__ import annotations

import json
import os
import signal
import uuid

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unavailable
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends import folder as folder_module
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends import share_lock
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb import SmbShare
from ansible_collections.strata.layering.tests.support.oci_artifacts import Artifact, digest
from ansible_collections.strata.layering.tests.support.samba import TcpProxy

EDITOR = "windows/app/editor"
LAYER = Artifact(layers=(b"archive" * 10_000, b"index"))


def check(folder: Folder, version: str) -> None:
    """Check that a version is complete."""
    found = folder.manifest(EDITOR, version)
    assert found is not None
    assert found.data == LAYER.manifest
    for blob in LAYER.blobs:
        assert folder.read_blob(EDITOR, digest(blob), 1 << 20) == blob


def test_push_survives_a_lost_connection_at_any_time(samba):
    name = uuid.uuid4().hex

    def share(port: int) -> SmbShare:
        credentials = {"username": samba.username, "password": samba.password}
        return SmbShare.at(
            samba.address(path=name, port=port), delays=(0.02, 0.1, 0.3), answer_timeout=5, **credentials
        )

    def push(port: int, version: str) -> None:
        with Folder(share(port), create=True) as folder:
            LAYER.push(folder, EDITOR, version)
            folder.delete_tag(EDITOR, version)
            LAYER.push(folder, EDITOR, version)
            check(folder, version)

    push(samba.port, "0")
    with TcpProxy(samba.port) as proxy:
        push(proxy.port, "1")
        length = proxy.passed
    for number in range(2, 10):
        with TcpProxy(samba.port, cut_after=length * number // 11) as proxy:
            push(proxy.port, f"{number}")
            assert proxy.cuts == 1
    with Folder(share(samba.port)) as folder:
        assert folder.tags(EDITOR) == [f"{number}" for number in range(10)]
    assert not (samba.path / name / ".strata-index.lock").exists()


@pytest.mark.parametrize("step", range(12))
def test_push_is_repeated_after_the_process_was_killed(tmp_path, monkeypatch, step):
    """Kill a process before its n-th change of the folder; the next push completes and finds nothing half-written."""
    path = os.fspath(tmp_path / "layers")
    child = os.fork()
    if child == 0:
        try:
            _kill_before_change(step)
            with Folder(LocalShare(path), create=True) as folder:
                LAYER.push(folder, EDITOR, "1.0")
            os._exit(0)
        finally:
            os._exit(1)
    _process, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    monkeypatch.setattr(share_lock, "STALE", 0.0)
    with Folder(LocalShare(path), create=True) as folder:
        if folder.tags(EDITOR):
            check(folder, "1.0")
        LAYER.push(folder, EDITOR, "1.0")
        check(folder, "1.0")
        assert folder.tags(EDITOR) == ["1.0"]
    json.loads((tmp_path / "layers/index.json").read_bytes())


def _kill_before_change(step: int) -> None:
    """Replace the functions that change files: the call number ``step`` kills the process."""
    left = step

    def killing(function):
        def called(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return called

    for name in ("replace", "unlink", "makedirs"):
        setattr(os, name, killing(getattr(os, name)))
    LocalShare.create_new = killing(LocalShare.create_new)


class _BusyShare(LocalShare):
    """A share whose server refuses to replace index.json a few times, as Windows does while another client reads it."""

    refusals = 0

    def create(self, path, *, temporary=None):
        if path == "index.json" and self.refusals:
            self.refusals -= 1
            raise Unavailable("The file share denies access.", code="shares.denied")
        return super().create(path, temporary=temporary)


def test_index_that_another_client_reads_is_replaced_later(tmp_path, monkeypatch):
    share = _BusyShare(os.fspath(tmp_path))
    with Folder(share, create=True) as folder:
        LAYER.push(folder, EDITOR, "1.0")
        share.refusals = 2
        LAYER.push(folder, EDITOR, "1.1")
        assert folder.tags(EDITOR) == ["1.0", "1.1"]
        monkeypatch.setattr(folder_module, "_BUSY", 0.2)
        share.refusals = 100
        with pytest.raises(Unavailable) as error:
            LAYER.push(folder, EDITOR, "1.2")
        assert error.value.code == "shares.denied"
        share.refusals = 0
        LAYER.push(folder, EDITOR, "1.2")
