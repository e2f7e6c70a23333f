# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the file share that a playbook names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ..common.composer_paths import is_windows_path
from ..common.errors import InvalidInput
from .local import LocalShare
from .location import is_smb, split_smb_file
from .share import Share


@dataclass(frozen=True, slots=True)
class ShareCredentials:
    """The credentials for a share whose location is //server/share/path.

    ``username`` is ``DOMAIN\\user`` or ``user@domain``. Without ``password`` a Kerberos ticket is used.
    ``encrypt`` requires SMB 3 encryption; if it is false, messages are only signed.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    encrypt: bool = True


def open_share(location: str, credentials: ShareCredentials) -> Share:
    """Return the share at ``location``: a folder of this host or //server/share[/path].

    An SMB share connects at its first use.

    Raises:
        InvalidInput: ``shares.address`` if the location is empty, a URL or malformed; ``shares.name`` or
            ``shares.outside`` if its path is not acceptable.
    """
    from .smb import SmbShare

    if not location:
        raise InvalidInput(
            "The option file_share is empty.",
            code="shares.address",
            hint="Set file_share to a folder of the composer or to //server/share/path.",
        )
    if re.match(r"[A-Za-z]+://", location):
        raise InvalidInput(
            "The option file_share holds a URL.",
            code="shares.address",
            hint="Set file_share to //server/share/path or to a folder of the composer.",
        )
    if not is_smb(location):
        _refuse_windows(location, "file_share")
        return LocalShare(location)
    return SmbShare.at(
        location,
        username=credentials.username,
        password=credentials.password,
        encrypt=credentials.encrypt,
    )


def open_file(location: str, credentials: ShareCredentials, option: str) -> tuple[Share, str]:
    """Return the share that holds the file ``location``, and the file's path on that share.

    ``location`` is a path of this host or //server/share/path; ``option`` is the option with it.

    Raises:
        InvalidInput: as ``open_share``; also ``shares.address`` if ``location`` names a share, not a file.
    """
    if not location:
        raise InvalidInput(
            f"The option {option} is empty.",
            code="shares.address",
            hint=f"Set {option} to a path on the composer or to //server/share/path/file.",
        )
    if not is_smb(location):
        _refuse_windows(location, option)
        folder, name = os.path.split(os.path.abspath(location))
        return LocalShare(folder), name
    address, path = split_smb_file(location)
    return open_share(address, credentials), path


def _refuse_windows(location: str, option: str) -> None:
    if is_windows_path(location):
        raise InvalidInput(
            f"'{location}' is a path in Windows.",
            code="shares.address",
            hint=f"Set {option} to //server/share/path, or to a path on the composer (Linux) where the share is mounted.",
        )
