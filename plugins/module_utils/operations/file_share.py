# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File shares as a playbook wants them: reachable, writable, with room and with their folders."""

from __future__ import annotations

from ..common.errors import Conflict, InvalidInput, NoSpace
from ..common.outcome import Outcome
from ..repository.repository import Repository
from ..shares.local import missing_share
from ..shares.location import check_path
from ..shares.open import open_share
from ..shares.share import Share
from ..shares.smb import SmbShare
from .options import share_credentials

_GIB = 1 << 30


def ensure_file_share(params: dict, *, check_mode: bool) -> Outcome:
    """Check the share, and bring its folders into ``state``."""
    folders = list(dict.fromkeys(check_path(folder) for folder in params["folders"]))
    repository = Repository.open(params["repository"], writable=not check_mode) if params["repository"] else None
    with open_share(params["file_share"], share_credentials(params)) as share:
        if share.local_path("") is not None and not share.is_folder():
            # A mount that is missing must be noticed, not be made a folder.
            raise missing_share(share.name)
        outcome = (_present if params["state"] == "present" else _absent)(share, folders, params, check_mode)
    if outcome.changed and repository and not check_mode:
        action = "create" if params["state"] == "present" else "delete"
        repository.audit.append(
            action, "file_share", params["file_share"], comment=params["comment"], details={"folders": folders}
        )
    return outcome


def _present(share: Share, folders: list[str], params: dict, check_mode: bool) -> Outcome:
    there = share.is_folder()
    existing = [folder for folder in folders if there and _is_folder(share, folder)]
    lacking = [folder for folder in folders if folder not in existing]
    if there:
        share.check_writable()
    if not check_mode:
        if not there:
            share.make_folders()
        for folder in lacking:
            share.make_folders(folder)
    for folder in existing if check_mode else folders:
        share.folder(folder).check_writable()
    result = _facts(share, there or not check_mode)
    free, wanted = result["file_share"]["free_bytes"], (params["minimum_free_gb"] or 0) * _GIB
    if free is not None and free < wanted:
        raise NoSpace(
            f"The file share {share.name} has {free / _GIB:.1f} GiB free, less than the {params['minimum_free_gb']} GiB that are wanted.",
            code="operations.share_space",
            hint="Remove packages that are no longer needed, or enlarge the share.",
            free_bytes=free,
        )
    before, after = {"exists": there, "folders": sorted(existing)}, {"exists": True, "folders": sorted(folders)}
    return Outcome(before != after, before, after, dict(result, folders=[share.where(folder) for folder in folders]))


def _absent(share: Share, folders: list[str], params: dict, check_mode: bool) -> Outcome:
    if not folders:
        raise InvalidInput(
            "No folder of the file share is named that should be absent.",
            code="operations.share_folders",
            hint="Give folders.",
        )
    there = share.is_folder()
    existing = [folder for folder in folders if there and _is_folder(share, folder)]
    for folder in existing:
        kept = [name for name, unused in share.names(folder) if f"{folder}/{name}" not in existing]
        if kept:
            raise Conflict(
                f"The folder {share.where(folder)} is not empty: it holds {', '.join(sorted(kept)[:5])}{' and more' if len(kept) > 5 else ''}.",
                code="operations.share_not_empty",
                hint="Remove what is in it first.",
            )
    if not check_mode:
        for folder in sorted(existing, key=len, reverse=True):
            share.remove_folder(folder)
    before, after = {"exists": there, "folders": sorted(existing)}, {"exists": there, "folders": []}
    return Outcome(before != after, before, after, dict(_facts(share, there), folders=[]))


def _is_folder(share: Share, folder: str) -> bool:
    status = share.stat(folder)
    if status is not None and not status.is_folder:
        raise Conflict(
            f"{share.where(folder)} is a file, not a folder.",
            code="operations.share_kind",
            hint="Remove it, or name another folder.",
        )
    return status is not None


def _facts(share: Share, there: bool) -> dict:
    free, total = share.space() if there else (None, None)
    spoken = share.facts() if isinstance(share, SmbShare) else {"dialect": None, "encrypted": None}
    return {"file_share": {"location": share.where(), "free_bytes": free, "total_bytes": total} | spoken}
