# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons of layers and image templates: files on the composer, stored as blobs."""

from __future__ import annotations

import hashlib

from ..common.composer_paths import current_user, path_hint
from ..common.errors import InvalidInput
from ..layers.icon import icon_media_type
from ..repository.repository import Repository

_MAX_ICON = 1 << 20


def read_icon(path: str | None) -> bytes | None:
    """Return the bytes of an icon file, None without a path.

    Raises:
        InvalidInput: ``catalog.icon_unreadable`` if the file cannot be read; codes of ``icon_media_type``
            if it is not a PNG or JPEG of acceptable size.
    """
    if not path:
        return None
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MAX_ICON + 1)
    except OSError as error:
        raise InvalidInput(
            f"The icon {path!r} cannot be read: {error.strerror}.",
            code="catalog.icon_unreadable",
            hint=f"{path_hint(path, 'icon')}Set icon to a PNG or JPEG file that the user {current_user()} can read.",
        ) from error
    icon_media_type(data, f"icon {path!r}")
    return data


def store_icon(repository: Repository, data: bytes, *, check_mode: bool) -> str:
    """Store an icon as a blob, unless in check mode, and return its digest."""
    if check_mode:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return repository.layout.put_blob(data, icon_media_type(data)).digest
