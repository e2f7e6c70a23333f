# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a lease: what the host says about the bytes that it has sent or received.

Source: vSphere Web Services API, HttpNfcLeaseManifestEntry. The API defines the manifest, and its size, for downloads. For an upload, a
host may report no manifest, or a size that is not the size of the stream. Therefore only a digest decides about an upload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...common.errors import Corrupt
from .transfer import Transfer


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A file that the host has transferred: sizes in bytes, digests in lower-case hexadecimal."""

    size: int
    sha1: str
    checksum: str
    checksum_type: str
    capacity: int | None
    populated_size: int | None

    @classmethod
    def of(cls, entry: Any) -> ManifestEntry:
        """Read an entry of the API."""
        return cls(
            entry.size or 0,
            (entry.sha1 or "").lower(),
            (getattr(entry, "checksum", None) or "").lower(),
            (getattr(entry, "checksumType", None) or "").lower(),
            getattr(entry, "capacity", None),
            getattr(entry, "populatedSize", None),
        )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the host reports about an upload: ``digest`` is the digest that confirmed it (``SHA-1``, ``SHA-256``), None without one."""

    digest: str | None
    warning: str | None = None


def verify_download(subject: str, name: str, entry: ManifestEntry, transfer: Transfer) -> bool:
    """Compare the download of the file ``name`` with its entry; return whether the entry has size and digest of the file.

    Raises Corrupt (vsphere.checksum) when size or digest differ; ``subject`` is the beginning of its message.
    """
    digests = _common_digests(entry, transfer)
    size = [("size", entry.size, transfer.size)] if entry.size else []
    _require_equal(subject, name, [*size, *digests])
    return entry.size == transfer.size and bool(digests)


def confirm_upload(subject: str, name: str, entry: ManifestEntry | None, transfer: Transfer) -> Confirmation:
    """Compare the digests of an upload with its entry, None without an entry; otherwise as ``verify_download``."""
    digests = _common_digests(entry, transfer) if entry else []
    if digests:
        _require_equal(subject, name, digests)
        return Confirmation(digests[0][0])
    size = ""
    if entry and entry.size and entry.size != transfer.size:
        size = f" It reported a size of {entry.size} bytes; {transfer.size} bytes were uploaded."
    return Confirmation(None, f"{subject}: the ESXi host reported no digest that confirms the upload of {name}.{size}")


def _common_digests(entry: ManifestEntry, transfer: Transfer) -> list[tuple[str, str, str]]:
    """Return (name, on the host, transferred) for each digest that both sides computed."""
    found = [("SHA-1", entry.sha1, transfer.sha1)] if entry.sha1 else []
    known = {"sha1": ("SHA-1", transfer.sha1), "sha256": ("SHA-256", transfer.sha256)}.get(entry.checksum_type)
    if known and known[1] and entry.checksum:
        found.append((known[0], entry.checksum, known[1]))
    return found


def _require_equal(subject: str, name: str, values: list[tuple[str, Any, Any]]) -> None:
    """Raise Corrupt for the first value (its name, on the host, transferred) that differs."""
    for value, theirs, ours in values:
        if theirs != ours:
            raise Corrupt(
                f"{subject} failed: the {value} of {name} is {theirs} on the host, but {ours} was transferred.",
                code="vsphere.checksum",
                hint="Run this playbook again: the data was damaged during the transfer.",
                expected=ours,
                found=theirs,
            )
