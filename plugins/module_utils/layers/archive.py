# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer archives: tar files in the form of Windows container layers, compressed with Zstandard.

This module is the public name of ``archive_reader`` and ``archive_writer``.
"""

from __future__ import annotations

from .archive_reader import ArchiveReader, Contents, Limits
from .archive_stream import Member
from .archive_writer import ArchiveWriter

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"

__all__ = ["MEDIA_TYPE", "ArchiveReader", "ArchiveWriter", "Contents", "Limits", "Member"]
