# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample OS machine as an OVF package in the form of a vSphere export: descriptor, manifest, stream-optimized disk."""

from __future__ import annotations

import dataclasses
import hashlib
import os

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.encode import encode
from ...plugins.module_utils.ovf.descriptor_writer import ImageDescription, write_descriptor
from ...plugins.module_utils.ovf.manifest import Entry, write_manifest
from .cache import cached_disk
from .disk import make_disk
from .plan import Manifest, Spec


@dataclasses.dataclass(frozen=True)
class Package:
    """Paths of a written package, and the manifest of its disk. ``description`` is the hardware."""

    folder: str
    ovf: str
    mf: str
    vmdk: str
    description: ImageDescription
    manifest: Manifest


def make_package(folder: str, spec: Spec, *, name: str = "gold-w11", cached: bool = True) -> Package:
    """Write ``name``.ovf, .mf and -disk1.vmdk into ``folder`` (created if missing).

    With ``cached`` False, a temporary raw disk is generated in ``folder``.
    """
    os.makedirs(folder, exist_ok=True)
    if cached:
        raw, manifest = cached_disk(spec)
        return write_package(folder, name, raw, manifest)
    raw = os.path.join(folder, f".{name}.raw")
    try:
        return write_package(folder, name, raw, make_disk(raw, spec))
    finally:
        os.unlink(raw)


def describe(name: str, disk_file: str, disk_size: int, manifest: Manifest) -> ImageDescription:
    """Return the hardware of the sample OS machine: paravirtual SCSI, a single VMXNET3."""
    return ImageDescription(
        name=name,
        disk_file=disk_file,
        disk_size=disk_size,
        capacity=manifest.disk_size,
        guest_id="windows9_64Guest",
        firmware="bios" if "mbr" in manifest.spec.variants else "efi",
        hardware_version="vmx-19",
        cpus=2,
        memory_mib=4096,
        controller_type="VirtualSCSI",
        annotation="Windows 11 Enterprise 23H2, prepared as an OS machine",
    )


def write_package(folder: str, name: str, raw: str, manifest: Manifest) -> Package:
    """Write a package around the raw disk ``raw``; ``folder`` is made."""
    os.makedirs(folder, exist_ok=True)
    disk_file = f"{name}-disk1.vmdk"
    vmdk = os.path.join(folder, disk_file)
    with FileDevice(raw) as device, open(vmdk, "wb") as out:
        encode(device, out)
    description = describe(name, disk_file, os.stat(vmdk).st_size, manifest)
    ovf, mf = os.path.join(folder, f"{name}.ovf"), os.path.join(folder, f"{name}.mf")
    with open(ovf, "wb") as stream:
        stream.write(write_descriptor(description))
    entries = [Entry(os.path.basename(path), "sha256", _sha256(path)) for path in (ovf, vmdk)]
    with open(mf, "wb") as stream:
        stream.write(write_manifest(entries))
    return Package(folder, ovf, mf, vmdk, description, manifest)


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
