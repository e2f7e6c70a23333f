# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are rejected, and the finalize checks alone."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.tests.sample import ntfs_bytes
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, put


@pytest.mark.parametrize(
    ("spoil", "code"), [("dirty", "ntfs.dirty"), ("fast_startup", "ntfs.hibernated"), ("hibernated", "ntfs.hibernated")]
)
def test_capture_disk_without_clean_shutdown_is_rejected(packaging, tmp_path, spoil, code):
    def change(volume):
        if spoil == "hibernated":
            put(volume, "hiberfil.sys", b"HIBR" + bytes(5000))

    raw = str(tmp_path / "raw")
    with packaging.changed(change) as device:
        with open(raw, "wb") as out:
            for offset in range(0, device.size, 1 << 20):
                out.write(device.pread(min(1 << 20, device.size - offset), offset))
    with open(raw, "r+b") as stream:
        if spoil == "dirty":
            ntfs_bytes.set_dirty(stream, packaging.offset)
        elif spoil == "fast_startup":
            ntfs_bytes.write_log(stream, packaging.offset, 2, 0)
    with pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.base_image, lambda: FileDevice(raw), LayerVersion("app", "App", "1"))
    assert caught.value.code == code


def test_capture_truncated_disk_is_rejected(packaging, tmp_path):
    path = str(tmp_path / "packaged.vmdk")
    with packaging.changed(lambda volume: put(volume, "App/one.txt")) as device, open(path, "wb") as out:
        encode(device, out)
    whole = open(path, "rb").read()
    captured = capture(
        packaging.repository, packaging.base_image, lambda: open_disk(path), LayerVersion("app", "Whole", "1")
    )
    assert captured.changes["files"]["added"] == 1
    for length in (len(whole) - 512, len(whole) // 2, 70_000):
        with open(path, "wb") as out:
            out.write(whole[:length])
        with pytest.raises(StrataError) as caught:
            capture(
                packaging.repository, packaging.base_image, lambda: open_disk(path), LayerVersion("app", "Cut", "1")
            )
        assert caught.value.code.startswith("disk."), caught.value


def test_capture_encrypted_file_is_rejected_and_nothing_is_stored(packaging):
    def change(volume):
        put(volume, "App/one.txt")
        with volume.find("App/one.txt") as node:
            node.inode.fields.flags |= 0x4000
            node.inode.mark_dirty()

    with packaging.changed(change) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Secret", "1"))
    assert caught.value.code == "capture.encrypted"
    assert stored_layers.find_version(packaging.repository, "app", "Secret", "1") is None


def test_disk_is_refused_by_its_finalize_checks_before_it_is_compared(packaging):
    def change(volume):
        edit_hive(
            volume,
            "Windows/System32/config/SOFTWARE",
            lambda root: root.create("Microsoft\\Windows\\CurrentVersion\\RunOnce").set_value(
                "!Setup", 1, "x\0".encode("utf-16-le")
            ),
        )

    def judge(gate):
        raise Conflict("refused", code="capture.test", found={finding["name"]: finding["result"] for finding in gate})

    steps = []
    with packaging.changed(change) as device, pytest.raises(Conflict) as caught:
        capture(
            packaging.repository,
            packaging.base_image,
            lambda: device,
            LayerVersion("app", "Unfinished", "1"),
            judge_gate=judge,
            progress=lambda step, *_counts: steps.append(step),
        )
    assert caught.value.details["found"]["run_once"] == "fail"
    assert caught.value.details["found"]["reboot"] == "pass"
    assert steps == []
    assert stored_layers.find_version(packaging.repository, "app", "Unfinished", "1") is None


@pytest.mark.parametrize("kind", ["app", "platform"])
def test_capture_of_a_machine_in_a_domain_fails_the_gate(packaging, kind):
    """Half of a domain membership is in hives that no layer contains, and Horizon joins its clones."""

    def join(root) -> None:
        name = "corp.example.com\0".encode("utf-16-le")
        root.create("ControlSet001\\Services\\Tcpip\\Parameters").set_value("Domain", 1, name)
        root.create("ControlSet001\\Services\\Netlogon").set_value("Start", 4, (2).to_bytes(4, "little"))

    with packaging.changed(lambda volume: edit_hive(volume, "Windows/System32/config/SYSTEM", join)) as device:
        done = capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion(kind, "Agent", "1"))
    found = {finding["name"]: finding["result"] for finding in done.gate}
    assert found["domain_joined"] == "fail"


def test_capture_disk_of_another_base_is_rejected(packaging, tmp_path):
    make_windows_disk(str(tmp_path / "other"), disk_guid="00000000-0f0a-4e57-9b7e-2f1c9a5d7e10")
    other = Packaging(str(tmp_path), str(tmp_path / "other"))
    with other.changed(lambda volume: None) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Other", "1"))
    assert caught.value.code == "capture.other_base"
