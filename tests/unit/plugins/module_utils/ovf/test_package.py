# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF packages as folders and as OVAs."""

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
    values = {
        "name": "os",
        "disk_file": "os-disk1.vmdk",
        "disk_size": len(DISK),
        "capacity": 1 << 30,
        "guest_id": "windows9_64Guest",
    }
    return write_descriptor(ImageDescription(**values | changes))


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


def test_package_is_read_and_verified(package):
    disk = package.descriptor.disks[0]
    name = package.disk_file(disk)
    assert (package.name, name, package.size(name)) == ("os", "os-disk1.vmdk", len(DISK))
    with package.open(name) as stream:
        assert stream.read() == DISK
    path, offset, size = package.location(name)
    with open(path, "rb") as stream:
        stream.seek(offset)
        assert stream.read(size) == DISK
    calls = []
    assert set(package.verify(lambda *call: calls.append(call))) == {"os.ovf", "os-disk1.vmdk"}
    assert calls[-1] == ("verify", len(DISK) + len(describe()), len(DISK) + len(describe()))


def test_verify_without_manifest_checks_sizes(tmp_path):
    folder(tmp_path, describe(), manifest=False)
    package = open_package(str(tmp_path / "os.ovf"))
    assert package.manifest is None
    assert package.verify() == {}
    with open(tmp_path / "os-disk1.vmdk", "ab") as stream:
        stream.write(b"!")
    with pytest.raises(Corrupt) as caught:
        package.verify()
    assert caught.value.code == "ovf.size"
    assert caught.value.details == {"file": "os-disk1.vmdk", "expected": 400000, "found": 400001}
    (tmp_path / "os-disk1.vmdk").unlink()
    with pytest.raises(NotFound) as caught:
        package.verify()
    assert caught.value.code == "ovf.missing_file"


def test_verify_changed_bytes_raises(tmp_path):
    folder(tmp_path, describe())
    with open(tmp_path / "os-disk1.vmdk", "r+b") as stream:
        stream.write(b"D")
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path)).verify()
    assert (caught.value.code, caught.value.details["file"]) == ("ovf.checksum", "os-disk1.vmdk")


def test_file_name_with_percent_escapes_is_decoded(tmp_path):
    folder(tmp_path, describe(disk_file="os%20disk.vmdk"), disk_name="os disk.vmdk")
    package = open_package(str(tmp_path))
    assert package.disk_file(package.descriptor.disks[0]) == "os disk.vmdk"
    package.verify()
    folder(tmp_path, describe(disk_file="..%2fx"))
    with pytest.raises(Corrupt):
        open_package(str(tmp_path)).verify()


@pytest.mark.parametrize("escaped", [True, False])
def test_manifest_with_percent_escapes_is_accepted(tmp_path, escaped):
    """DSP0243 does not define whether a manifest escapes names as References does."""
    folder(tmp_path, describe(disk_file="os%20disk.vmdk"), disk_name="os disk.vmdk")
    manifest = (tmp_path / "os.mf").read_bytes()
    assert b"(os disk.vmdk)" in manifest
    (tmp_path / "os.mf").write_bytes(manifest.replace(b"os disk", b"os%20disk") if escaped else manifest)
    assert set(open_package(str(tmp_path)).verify()) == {"os.ovf", "os disk.vmdk"}
    (tmp_path / "os disk.vmdk").write_bytes(DISK[::-1])
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path)).verify()
    assert (caught.value.code, caught.value.details["file"]) == ("ovf.checksum", "os disk.vmdk")
    (tmp_path / "os.mf").write_bytes((tmp_path / "os.mf").read_bytes() + b"SHA256(..%2fx)= " + b"0" * 64)
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path)).verify()
    assert caught.value.code == "ovf.file_name"


def with_nvram(descriptor, name="os.nvram"):
    return descriptor.replace(
        b"</ovf:References>", f'<ovf:File ovf:href="{name}" ovf:id="file9" ovf:size="9"/></ovf:References>'.encode()
    )


def archived(path, files):
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return open_package(str(path))


def test_complete_package_has_no_warnings(package):
    assert package.warnings() == ()
    assert package.manifest_digest()


def test_manifest_without_the_descriptor_is_a_warning(tmp_path):
    """The ESXi host client writes such manifests."""
    folder(tmp_path, describe())
    (tmp_path / "os.mf").write_bytes((tmp_path / "os.mf").read_bytes().split(b"\n", 1)[1])
    package = open_package(str(tmp_path))
    assert set(package.verify()) == {"os-disk1.vmdk"}
    assert len(package.warnings()) == 1
    assert "os.ovf" in package.warnings()[0]


def test_verify_manifest_without_the_disk_raises(tmp_path):
    folder(tmp_path, describe())
    (tmp_path / "os.mf").write_bytes((tmp_path / "os.mf").read_bytes().split(b"\n", 1)[0])
    with pytest.raises(NotFound) as caught:
        open_package(str(tmp_path)).verify()
    assert (caught.value.code, caught.value.details) == ("ovf.manifest_entry", {"file": "os-disk1.vmdk"})
    # The hint leads to an import with a warning.
    assert ".mf" in caught.value.hint
    (tmp_path / "os.mf").unlink()
    package = open_package(str(tmp_path))
    assert package.verify() == {}
    assert len(package.warnings()) == 1
    assert package.manifest_digest() is None


@pytest.mark.parametrize("listed", [True, False])
def test_missing_file_that_no_disk_needs_is_a_warning(tmp_path, listed):
    folder(tmp_path, with_nvram(describe()))
    if listed:
        with open(tmp_path / "os.mf", "ab") as stream:
            stream.write(b"SHA256(os.nvram)= " + b"0" * 64 + b"\n")
    package = open_package(str(tmp_path))
    assert set(package.verify()) == {"os.ovf", "os-disk1.vmdk"}
    assert len(package.warnings()) == 1
    assert "os.nvram" in package.warnings()[0]


def test_verify_damaged_file_that_no_disk_needs_raises(tmp_path):
    folder(tmp_path, with_nvram(describe()))
    (tmp_path / "os.nvram").write_bytes(b"123456789")
    with open(tmp_path / "os.mf", "ab") as stream:
        stream.write(b"SHA256(os.nvram)= " + b"0" * 64 + b"\n")
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path)).verify()
    assert (caught.value.code, caught.value.details["file"]) == ("ovf.checksum", "os.nvram")


def test_fingerprint_covers_descriptor_and_sizes(tmp_path):
    folder(tmp_path, describe(), manifest=False)
    first = open_package(str(tmp_path)).fingerprint()
    assert open_package(str(tmp_path / "os.ovf")).fingerprint() == first
    (tmp_path / "os.ovf").write_bytes(describe(cpus=4))
    assert open_package(str(tmp_path)).fingerprint() != first
    size = f' ovf:size="{len(DISK)}"'.encode()
    (tmp_path / "os.ovf").write_bytes(describe().replace(size, b""))
    second = open_package(str(tmp_path)).fingerprint()
    (tmp_path / "os-disk1.vmdk").write_bytes(DISK + b"!")
    assert open_package(str(tmp_path)).fingerprint() != second


@pytest.mark.parametrize("kind", ["folder", "ova"])
def test_disk_in_a_folder_of_the_package_is_read(tmp_path, kind):
    descriptor = describe(disk_file="NAME").replace(b"NAME", b"disks/os%20disk1.vmdk")
    digests = [(b"os.ovf", descriptor), (b"disks/os disk1.vmdk", DISK)]
    files = {
        "os.ovf": descriptor,
        "os.mf": b"".join(b"SHA256(%s)= %s\n" % (n, hashlib.sha256(d).hexdigest().encode()) for n, d in digests),
        "disks/os disk1.vmdk": DISK,
    }
    if kind == "folder":
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(data)
        package = open_package(str(tmp_path))
    else:
        package = archived(tmp_path / "os.ova", {f"export/{name}": data for name, data in files.items()})
    name = package.disk_file(package.descriptor.disks[0])
    with package.open(name) as stream:
        assert stream.read() == DISK
    assert set(package.verify()) == {"os.ovf", "disks/os disk1.vmdk"}
    assert package.warnings() == ()


@pytest.mark.parametrize("kind", ["folder", "ova"])
@pytest.mark.parametrize("change", [str.upper, str.title])
def test_names_in_other_case_are_found(tmp_path, kind, change):
    folder(tmp_path, describe())
    files = {change(path.name): path.read_bytes() for path in tmp_path.iterdir()}
    for path in list(tmp_path.iterdir()):
        path.unlink()
    if kind == "folder":
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        package = open_package(str(tmp_path))
    else:
        package = archived(tmp_path / "X.OVA", files)
    assert set(package.verify()) == {change("os.ovf"), change("os-disk1.vmdk")}
    assert package.warnings() == ()


def test_names_in_other_case_prefer_the_exact_name(tmp_path):
    folder(tmp_path, describe())
    (tmp_path / "OS-DISK1.vmdk").write_bytes(b"other")
    assert open_package(str(tmp_path)).verify()
    (tmp_path / "Os-disk1.vmdk").write_bytes(b"other")
    (tmp_path / "os-disk1.vmdk").unlink()
    with pytest.raises(NotFound) as caught:
        open_package(str(tmp_path)).verify()
    assert caught.value.code == "ovf.missing_file"


def test_manifest_of_a_renamed_descriptor_is_used(tmp_path):
    folder(tmp_path, describe())
    (tmp_path / "os.ovf").rename(tmp_path / "windows 11.ovf")
    package = open_package(str(tmp_path))
    assert package.manifest_name == "os.mf"
    assert set(package.verify()) == {"os-disk1.vmdk"}
    assert len(package.warnings()) == 1
    # With two packages in the folder, the manifest may belong to the other package.
    (tmp_path / "other.ovf").write_bytes(describe())
    assert open_package(str(tmp_path / "windows 11.ovf")).manifest_name is None


def test_hidden_descriptors_of_an_ova_are_ignored(tmp_path):
    package = archived(
        tmp_path / "os.ova", {"./._os.ovf": b"Mac OS X", "./os.ovf": describe(), "./os-disk1.vmdk": DISK}
    )
    assert package.size(package.disk_file(package.descriptor.disks[0])) == len(DISK)


@pytest.mark.parametrize("name", ["nothing.ovf", ""])
def test_open_package_missing_file_or_empty_folder_raises(tmp_path, name):
    with pytest.raises(NotFound) as caught:
        open_package(str(tmp_path / name))
    assert caught.value.code == "ovf.not_found"


def test_open_package_other_file_raises(tmp_path):
    (tmp_path / "disk.vmdk").write_bytes(b"")
    with pytest.raises(InvalidInput) as caught:
        open_package(str(tmp_path / "disk.vmdk"))
    assert caught.value.code == "ovf.suffix"


def test_open_package_folder_with_two_packages_raises(tmp_path):
    folder(tmp_path, describe())
    (tmp_path / "other.ovf").write_bytes(describe())
    with pytest.raises(Conflict) as caught:
        open_package(str(tmp_path))
    assert (caught.value.code, caught.value.details) == ("ovf.ambiguous", {"packages": ["os.ovf", "other.ovf"]})


@pytest.mark.parametrize(
    ("old", "new", "details"),
    [
        (
            b"ovf:size=",
            b'ovf:compression="gzip" ovf:size=',
            {"file": "os-disk1.vmdk", "ovftool_option": "--compress"},
        ),
        (
            b"ovf:size=",
            b'ovf:chunkSize="1000000" ovf:size=',
            {"file": "os-disk1.vmdk", "ovftool_option": "--chunkSize"},
        ),
        (b'ovf:fileRef="file1"', b"", {"disk": "vmdisk1"}),
        (b'ovf:fileRef="file1"', b'ovf:fileRef=""', {"disk": "vmdisk1"}),
    ],
    ids=["compressed", "split", "blank", "blank with an empty reference"],
)
def test_disk_file_unsupported_disk_raises(tmp_path, old, new, details):
    folder(tmp_path, describe().replace(old, new))
    package = open_package(str(tmp_path))
    with pytest.raises(Unsupported) as caught:
        package.disk_file(package.descriptor.disks[0])
    assert (caught.value.code, caught.value.details) == ("ovf.disk_file", details)


def test_open_package_ova_without_descriptor_raises(tmp_path):
    with tarfile.open(tmp_path / "x.ova", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.vmdk"), io.BytesIO(b""))
    with pytest.raises(Corrupt) as caught:
        open_package(str(tmp_path / "x.ova"))
    assert caught.value.code == "ovf.ova_descriptor"
