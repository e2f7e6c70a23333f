# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages on a share that others can write to: links in them do not lead to other files of the composer."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.operations import os_package
from ansible_collections.strata.layering.plugins.module_utils.operations.os_package import OsPackageSource
from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor_writer import (
    ImageDescription,
    write_descriptor,
)
from ansible_collections.strata.layering.plugins.module_utils.shares.open import ShareCredentials

FILES = ("os.ovf", "os.mf", "os-disk1.vmdk")


@pytest.fixture
def share(tmp_path):
    """A share with a package whose files are links to another folder of the share."""
    folder, store = tmp_path / "share" / "os", tmp_path / "share" / "store"
    folder.mkdir(parents=True)
    store.mkdir()
    description = ImageDescription(
        name="os", disk_file="os-disk1.vmdk", disk_size=4, capacity=1 << 30, guest_id="windows9_64Guest"
    )
    for name, data in zip(FILES, (write_descriptor(description), b"SHA256(os.ovf)= " + b"0" * 64, b"disk")):
        (store / name).write_bytes(data)
        (folder / name).symlink_to(f"../store/{name}")
    (tmp_path / "secret").write_bytes(b"root:secret")
    return tmp_path / "share"


def use(share, packaging_disk):
    with OsPackageSource(os.fspath(share), packaging_disk, ShareCredentials()).open() as package:
        name = package.disk_file(package.descriptor.disks[0])
        with package.open(name) as stream:
            return package.location(name)[0], stream.read()


@pytest.mark.parametrize("path", ["os/os.ovf", "os", "os/../os/os.ovf"])
def test_links_within_the_share_are_followed(share, path):
    assert use(share, path)[1] == b"disk"


def test_backslashes_separate_folders(share):
    assert use(share, "os\\os.ovf")[1] == b"disk"
    (share / "a\\b").mkdir()
    for name in FILES:
        (share / "a\\b" / name).symlink_to(f"../store/{name}")
    assert use(share, "a\\b/os.ovf")[1] == b"disk"


@pytest.mark.parametrize(
    "path", ["Z:\\layers\\os.ovf", "z:/os.ovf", "\\\\server\\share\\os.ovf", "//server/share/os.ovf"]
)
def test_paths_of_other_hosts_are_refused(share, path):
    with pytest.raises(InvalidInput) as caught:
        use(share, path)
    assert caught.value.code == "operations.os_outside_share"
    assert "ovf_package" in caught.value.hint


def test_the_share_itself_may_be_the_package_and_names_may_begin_with_a_dot(share):
    (share / "store").rename(share / ".store")
    assert use(share, ".store/os.ovf")[1] == b"disk"
    assert use(share / ".store", ".")[1] == use(share / ".store", "./")[1] == b"disk"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("target", ["../../secret", "/etc/hostname"])
def test_links_that_lead_out_of_the_share_are_refused(share, name, target):
    (share / "os" / name).unlink()
    (share / "os" / name).symlink_to(target)
    for path in ("os/os.ovf", "os"):
        with pytest.raises(InvalidInput) as caught:
            use(share, path)
        assert caught.value.code in ("operations.os_outside_share", "shares.outside")
        assert "secret:" not in str(caught.value)
        assert caught.value.hint


def test_folders_that_lead_out_of_the_share_are_refused(share):
    description = ImageDescription(
        name="os", disk_file="NAME", disk_size=4, capacity=1 << 30, guest_id="windows9_64Guest"
    )
    (share / "os" / "os.ovf").unlink()
    (share / "os" / "os.ovf").write_bytes(write_descriptor(description).replace(b"NAME", b"disks/os.vmdk"))
    outside = share.parent / "outside"
    outside.mkdir()
    (outside / "os.vmdk").write_bytes(b"root")
    (share / "os" / "disks").symlink_to(outside)
    with pytest.raises(InvalidInput) as caught:
        use(share, "os")
    assert caught.value.code == "shares.outside"


@pytest.mark.parametrize(
    "path", ["gold/gold.ovf", "//files/layers/deep/gold/gold.ovf", r"\\FILES\layers\deep\gold\gold.ovf"]
)
def test_full_path_on_an_smb_share_is_accepted(monkeypatch, path):
    """The module packaging_machine returns a full path."""
    opened = []
    monkeypatch.setattr(os_package, "open_package", lambda name, share: opened.append(name))
    with OsPackageSource("//files/layers/deep", path, ShareCredentials("layering", "secret")).open():
        assert opened == ["gold/gold.ovf"]


def test_full_path_on_a_different_smb_share_is_refused():
    source = OsPackageSource("//files/layers", "//files/others/gold/gold.ovf", ShareCredentials("layering", "secret"))
    with pytest.raises(InvalidInput) as raised, source.open():
        pass
    assert raised.value.code == "shares.name"
