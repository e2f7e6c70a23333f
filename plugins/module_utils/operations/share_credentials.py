# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials of a file share in a module's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..shares.open import ShareCredentials


def share_credentials(params: Mapping[str, Any]) -> ShareCredentials:
    """Return the credentials that ``common.arguments.share_arguments`` describes."""
    return ShareCredentials(
        username=params.get("file_share_username"),
        password=params.get("file_share_password"),
        encrypt=params.get("file_share_encrypt", True),
    )
