# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening the file share that a playbook names."""

from __future__ import annotations

from .local import LocalShare
from .location import is_smb
from .share import Share
from .smb import SmbShare


def open_share(location: str, params: dict) -> Share:
    """The share at ``location``, with the credentials in a module's parameters (``common.arguments.share_arguments``).

    One that is spoken to directly connects at its first use; InvalidInput when its address is malformed.
    """
    if not is_smb(location):
        return LocalShare(location)
    return SmbShare.at(
        location, username=params["file_share_username"], password=params["file_share_password"], encrypt=params["file_share_encrypt"]
    )
