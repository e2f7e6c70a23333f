# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for NTFS structures that contradict themselves."""

from __future__ import annotations

from ..common.errors import Corrupt

CHKDSK_HINT = "Run chkdsk on the VM that the disk comes from and export the disk again."


def damaged(subject: str, cause: str) -> Corrupt:
    """Return the error for a damaged structure. ``subject`` names the structure and its volume."""
    return Corrupt(f"{subject} is damaged: {cause}.", code="ntfs.damaged", hint=CHKDSK_HINT)
