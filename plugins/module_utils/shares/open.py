# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening the file share that a playbook names."""

from __future__ import annotations

import os
import re

from ..common.errors import InvalidInput
from .local import LocalShare
from .location import is_smb, split_smb_file
from .share import Share
from .smb import SmbShare


def open_share(location: str, params: dict) -> Share:
    """The share at ``location``, with the credentials in a module's parameters (``common.arguments.share_arguments``).

    One that is spoken to directly connects at its first use; InvalidInput when its address is malformed.
    """
    if not location:
        raise InvalidInput(
            "The file share is not named.",
            code="shares.address",
            hint="Set file_share to a folder of the composer or //server/share/path.",
        )
    if re.match(r"[A-Za-z]+://", location):
        raise InvalidInput(
            "The file share is given as a URL.",
            code="shares.address",
            hint="Write it as //server/share/path, or as a folder of the composer.",
        )
    if not is_smb(location):
        return LocalShare(location)
    return SmbShare.at(
        location,
        username=params["file_share_username"],
        password=params["file_share_password"],
        encrypt=params["file_share_encrypt"],
    )


def open_file(location: str, params: dict) -> tuple[Share, str]:
    """The share that a file is on, and its path there; ``location`` is a path of this host or //server/share/path."""
    if not location:
        raise InvalidInput(
            "The file is not named.",
            code="shares.address",
            hint="Give its path on the composer or //server/share/path.",
        )
    if not is_smb(location):
        folder, name = os.path.split(os.path.abspath(location))
        return LocalShare(folder), name
    address, path = split_smb_file(location)
    return open_share(address, params), path
