# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module file_share: check a file share and its folders for OVF packages, create and remove folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import Conflict, InvalidInput, NoSpace
from ..common.outcome import Outcome
from ..shares.location import check_path
from ..shares.open import ShareCredentials, open_share
from ..shares.share import Share
from ..shares.smb import SmbShare
from .options import RepositoryOptions, share_credentials

_GIB = 1 << 30
_MAX_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class FileShareOptions:
    """Options of the module file_share.

    ``repository`` keeps the audit history, None without one. ``create`` allows to create the folder of the share.
    """

    repository: RepositoryOptions | None
    credentials: ShareCredentials
    file_share: str
    folders: tuple[str, ...]
    minimum_free_gb: int
    absent: bool
    create: bool

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> FileShareOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.optional(params),
            credentials=share_credentials(params),
            file_share=params["file_share"],
            folders=tuple(dict.fromkeys(params["folders"] or ())),
            minimum_free_gb=params["minimum_free_gb"] or 0,
            absent=params["state"] == "absent",
            create=params["create"],
        )


def ensure_file_share(options: FileShareOptions, *, check_mode: bool) -> Outcome:
    """Check the share, and bring its folders into their state.

    Raises:
        NotFound: ``shares.missing`` if the share is not mounted or its folder does not exist; the repository does not
            exist.
        InvalidInput: ``operations.share_folders``; names that are not acceptable.
        Conflict: ``operations.share_not_empty``, ``operations.share_kind``.
        NoSpace: ``operations.share_space``.
        Unavailable: the share cannot be reached or written.
    """
    folders = list(dict.fromkeys(check_path(folder) for folder in options.folders))
    repository = options.repository.open_audited(check_mode=check_mode) if options.repository else None
    with open_share(options.file_share, options.credentials) as share:
        if not share.is_folder() and (options.absent or not options.create):
            # A missing mount and a misspelled folder must be reported; creating the folder would hide them.
            raise share.missing()
        if options.absent:
            outcome = _absent(share, folders, check_mode)
        else:
            outcome = _present(share, folders, options.minimum_free_gb, check_mode)
    if outcome.changed and options.repository and repository and not check_mode:
        repository.audit.append(
            "delete" if options.absent else "create",
            "file_share",
            options.file_share,
            comment=options.repository.comment,
            details={"folders": folders},
        )
    return outcome


def _present(share: Share, folders: list[str], minimum_free_gb: int, check_mode: bool) -> Outcome:
    exists = share.is_folder()
    existing = [folder for folder in folders if exists and _is_folder(share, folder)]
    if exists:
        share.check_writable()
    if not check_mode:
        if not exists:
            share.make_folders()
        for folder in folders:
            if folder not in existing:
                share.make_folders(folder)
    for folder in existing if check_mode else folders:
        share.folder(folder).check_writable()
    facts = _facts(share, exists or not check_mode)
    free = facts["free_bytes"]
    if free is not None and free < minimum_free_gb * _GIB:
        raise NoSpace(
            f"The file share {share.name} has {free / _GIB:.1f} GiB free; minimum_free_gb is {minimum_free_gb} GiB.",
            code="operations.share_space",
            hint="Delete packages that are no longer needed, enlarge the share, or lower minimum_free_gb.",
            free_bytes=free,
        )
    before, after = {"exists": exists, "folders": sorted(existing)}, {"exists": True, "folders": sorted(folders)}
    result = {"file_share": facts, "folders": [share.where(folder) for folder in folders]}
    return Outcome(before != after, before, after, result)


def _absent(share: Share, folders: list[str], check_mode: bool) -> Outcome:
    if not folders:
        raise InvalidInput(
            f"No folder of the file share {share.name} is listed for state absent.",
            code="operations.share_folders",
            hint="Set folders to the folders to remove.",
        )
    existing = [folder for folder in folders if _is_folder(share, folder)]
    for folder in existing:
        kept = sorted(name for name, _status in share.names(folder) if f"{folder}/{name}" not in existing)
        if kept:
            more = f" and {len(kept) - _MAX_SHOWN} more" if len(kept) > _MAX_SHOWN else ""
            raise Conflict(
                f"The folder {share.where(folder)} is not empty: it holds {', '.join(kept[:_MAX_SHOWN])}{more}.",
                code="operations.share_not_empty",
                hint="Delete or move its content first.",
            )
    if not check_mode:
        for folder in sorted(existing, key=len, reverse=True):
            share.remove_folder(folder)
    before, after = {"exists": True, "folders": sorted(existing)}, {"exists": True, "folders": []}
    return Outcome(before != after, before, after, {"file_share": _facts(share, True), "folders": []})


def _is_folder(share: Share, folder: str) -> bool:
    status = share.stat(folder)
    if status is not None and not status.is_folder:
        raise Conflict(
            f"{share.where(folder)} is a file, not a folder.",
            code="operations.share_kind",
            hint="Delete the file, or set folders to the name of a folder.",
        )
    return status is not None


def _facts(share: Share, exists: bool) -> dict[str, Any]:
    free, total = share.space() if exists else (None, None)
    dialect = share.facts() if isinstance(share, SmbShare) else {"dialect": None, "encrypted": None}
    return {"location": share.where(), "free_bytes": free, "total_bytes": total} | dialect
