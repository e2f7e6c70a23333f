# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages as folders and as OVAs."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    NotFound,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor_writer import (
    ImageDescription,
    write_descriptor,
)
from ansible_collections.strata.layering.plugins.module_utils.ovf.manifest import Entry, write_manifest
from ansible_collections.strata.layering.plugins.module_utils.ovf.ova import OvaWriter
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package

DISK = b"disk" * 100_000


def describe(**changes):
    given = {
        "name": "os",
        "disk_file": "os-disk1.vmdk",
        "disk_size": len(DISK),
        "capacity": 1 << 30,
        "guest_id": "windows9_64Guest",
    }
    return write_descriptor(ImageDescription(**given | changes))


@pytest.fixture(params=["folder", "ova"])
def package(request, tmp_path):
    if request.param == "ova":
        with open(tmp_path / "os.ova", "wb") as out:
            writer = OvaWriter(out, "os", describe(), ["os-disk1.vmdk"])
            writer.add("os-disk1.vmdk", len(DISK), [DISK])
            writer.finish()
    else:
        folder(tmp_path, describe())
    return open_package(str(tmp_path))


def folder(path, descriptor, disk_name="os-disk1.vmdk", manifest=True):
    (path / "os.ovf").write_bytes(descriptor)
    (path / disk_name).write_bytes(DISK)
    if manifest:
        digests = [
            Entry(name, "sha256", hashlib.sha256((path / name).read_bytes()).hexdigest())
            for name in ("os.ovf", disk_name)
        ]
        (path / "os.mf").write_bytes(write_manifest(digests))


def test_reading(package):
    disk = package.descriptor.disks[0]
    name = package.disk_file(disk)
    assert (package.name, name, package.size(name)) == ("os", "os-disk1.vmdk", len(DISK))
    with package.open(name) as stream:
        assert stream.read() == DISK
    path, offset, size = package.location(name)
    with open(path, "rb") as stream:
        stream.seek(offset)
        assert stream.read(size) == DISK
    seen = []
    assert set(package.verify(lambda *call: seen.append(call))) == {"os.ovf", "os-disk1.vmdk"}
    assert seen[-1][1] == seen[-1][2] == len(DISK) + len(describe())


def test_without_a_manifest_sizes_are_checked(tmp_path):
    folder(tmp_path, describe(), manifest=False)
    package = open_package(str(tmp_path / "os.ovf"))
    assert package.manifest is None and package.verify() == {}
    with open(tmp_path / "os-disk1.vmdk", "ab") as stream:
        stream.write(b"!")
    with pytest.raises(Corrupt, match="should have 400000 bytes and has 400001"):
        package.verify()
    (tmp_path / "os-disk1.vmdk").unlink()
    with pytest.raises(NotFound, match="os-disk1.vmdk"):
        package.verify()


def test_same_size_but_other_bytes(tmp_path):
    folder(tmp_path, describe())
    with open(tmp_path / "os-disk1.vmdk", "r+b") as stream:
        stream.write(b"D")
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path)).verify()
    assert (caught.value.code, caught.value.details["file"]) == ("ovf.checksum", "os-disk1.vmdk")


def test_percent_escapes_in_names(tmp_path):
    folder(tmp_path, describe(disk_file="os%20disk.vmdk"), disk_name="os disk.vmdk")
    package = open_package(str(tmp_path))
    assert package.disk_file(package.descriptor.disks[0]) == "os disk.vmdk"
    package.verify()
    folder(tmp_path, describe(disk_file="..%2fx"))
    with pytest.raises(Corrupt):
        open_package(str(tmp_path)).verify()


@pytest.mark.parametrize("escaped", [True, False])
def test_percent_escapes_in_the_manifest(tmp_path, escaped):
    """Whether a manifest writes names as References does or as the files are called is not said anywhere."""
    folder(tmp_path, describe(disk_file="os%20disk.vmdk"), disk_name="os disk.vmdk")
    manifest = (tmp_path / "os.mf").read_bytes()
    assert b"(os disk.vmdk)" in manifest
    (tmp_path / "os.mf").write_bytes(manifest.replace(b"os disk", b"os%20disk") if escaped else manifest)
    assert set(open_package(str(tmp_path)).verify()) == {"os.ovf", "os disk.vmdk"}
    (tmp_path / "os disk.vmdk").write_bytes(DISK[::-1])
    with pytest.raises(Corrupt, match="os disk.vmdk"):
        open_package(str(tmp_path)).verify()
    (tmp_path / "os.mf").write_bytes((tmp_path / "os.mf").read_bytes() + b"SHA256(..%2fx)= " + b"0" * 64)
    with pytest.raises(Corrupt, match="not a plain file name"):
        open_package(str(tmp_path)).verify()


def test_what_is_named_must_be_one_package(tmp_path):
    with pytest.raises(NotFound):
        open_package(str(tmp_path / "nothing.ovf"))
    with pytest.raises(NotFound, match="no OVF in"):
        open_package(str(tmp_path))
    (tmp_path / "disk.vmdk").write_bytes(b"")
    with pytest.raises(InvalidInput):
        open_package(str(tmp_path / "disk.vmdk"))
    folder(tmp_path, describe())
    (tmp_path / "other.ovf").write_bytes(describe())
    with pytest.raises(Conflict, match="os.ovf, other.ovf"):
        open_package(str(tmp_path))


def test_compressed_and_blank_disks(tmp_path):
    folder(tmp_path, describe().replace(b"ovf:size=", b'ovf:compression="gzip" ovf:size='))
    package = open_package(str(tmp_path))
    with pytest.raises(Unsupported, match="is compressed") as caught:
        package.disk_file(package.descriptor.disks[0])
    assert "--compress" in caught.value.hint
    folder(tmp_path, describe().replace(b"ovf:size=", b'ovf:chunkSize="1000000" ovf:size='))
    package = open_package(str(tmp_path))
    with pytest.raises(Unsupported, match="is split into chunks") as caught:
        package.disk_file(package.descriptor.disks[0])
    assert "--chunkSize" in caught.value.hint
    folder(tmp_path, describe().replace(b'ovf:fileRef="file1"', b""))
    package = open_package(str(tmp_path))
    with pytest.raises(Unsupported, match="no file of its own"):
        package.disk_file(package.descriptor.disks[0])


def test_ova_without_descriptor(tmp_path):
    with tarfile.open(tmp_path / "x.ova", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.vmdk"), io.BytesIO(b""))
    with pytest.raises(Corrupt, match="holds 0 descriptors"):
        open_package(str(tmp_path / "x.ova"))
