# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record next to an OVF export: a sidecar file ``<name>.export.json``.

It contains the VM and the exported files. With it, an existing export is recognized, an interrupted export is resumed,
and the export of one VM never replaces the package of a different VM.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from ...common.atomic_files import TEMPORARY_PREFIX
from ...common.errors import Corrupt, InvalidInput
from ...ovf.descriptor import check_file_name
from ...shares.local import as_share
from ...shares.share import Share
from .disk_state import DiskState

VERSION = 1
SIDECAR_MAXIMUM = 1 << 20


@dataclass(slots=True)
class Record:
    """The sidecar. ``disks``: file name -> device, size, mtime_ns, sha1, sha256, capacity, populated_size.

    ``vm_name`` and ``vcenter`` (the instance UUID of the vCenter) are empty in records of release 0.1. ``disk_state`` is the
    state of the VM's disks as ``DiskState`` writes it, None in records of earlier releases.
    """

    version: int
    instance_uuid: str
    change_version: str
    snapshot: str
    disks: dict[str, dict[str, Any]]
    files: dict[str, str]
    complete: bool
    vm_name: str = ""
    vcenter: str = ""
    disk_state: dict[str, Any] | None = None

    @property
    def state(self) -> DiskState | None:
        """The state of the VM's disks when the export began, None if it was not recorded."""
        return None if self.disk_state is None else DiskState.from_document(self.disk_state)


def replaced_files(folder: Share | str, name: str) -> list[str]:
    """Return the files in ``folder`` that an export ``name`` would replace or remove."""
    pattern = re.compile(re.escape(file_name(name)) + r"(\.ovf|\.mf|\.export\.json|-disk\d+\.vmdk)", re.IGNORECASE)
    try:
        return sorted(entry for entry, _status in as_share(folder).names() if pattern.fullmatch(entry))
    except FileNotFoundError:
        return []


def file_name(name: str) -> str:
    """Return the name of the files of an export: ``name`` with underscores for characters that files cannot have.

    Raises:
        InvalidInput: ``vsphere.ovf_file_name`` if no acceptable name remains.
    """
    plain = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name).strip(". ")
    if not plain or len(plain.encode("utf-8", "replace")) > 200:
        raise InvalidInput(
            f"The name {name[:100]!r} of the package cannot be used as a file name.",
            code="vsphere.ovf_file_name",
            hint="Set package to a name without special characters and with at most 200 bytes.",
        )
    return plain


def sidecar_name(name: str) -> str:
    """Return the file name of the record of the export ``name``."""
    return f"{name}.export.json"


def load_record(folder: Share, name: str) -> Record | None:
    """Return the sidecar, None when it does not exist or is not valid: then the export starts again."""
    try:
        record = Record(**json.loads(folder.read(sidecar_name(name), SIDECAR_MAXIMUM)))
        texts = (record.instance_uuid, record.vm_name, record.vcenter)
        sound = record.version == VERSION and all(isinstance(text, str) for text in texts)
        sound = sound and all(
            check_file_name(file, "The record of an export") == file
            and isinstance(entry["device"], str)
            and all(isinstance(entry[key], int) for key in ("size", "mtime_ns"))
            and all(isinstance(entry[key], str) for key in ("sha1", "sha256"))
            and all(isinstance(entry[key], (int, type(None))) for key in ("capacity", "populated_size"))
            for file, entry in record.disks.items()
        )
        sound = sound and (record.state is None or isinstance(record.state, DiskState))
        return record if sound and all(isinstance(digest, str) for digest in record.files.values()) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, Corrupt):
        return None


def save_record(folder: Share, name: str, record: Record) -> None:
    """Write the sidecar, completely or not at all."""
    write_file(
        folder, name, sidecar_name(name), (json.dumps(asdict(record), indent=2, sort_keys=True) + "\n").encode("utf-8")
    )


def write_file(folder: Share, name: str, file: str, data: bytes) -> None:
    """Write a file of the export ``name``, completely or not at all."""
    with folder.create(file, temporary=temporary_name(name, file)) as out:
        out.write(data)


def temporary_name(name: str, file: str) -> str:
    """Return the name of a file that is being written; a later export of the same name removes such files of a killed run."""
    return f"{temporary_prefix(name)}{file}"


def temporary_prefix(name: str) -> str:
    """Return the start of the names of all temporary files of the export ``name``."""
    return f"{TEMPORARY_PREFIX}export-{hashlib.sha256(name.encode('utf-8')).hexdigest()[:12]}-"
