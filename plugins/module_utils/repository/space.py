# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One error for a full disk or quota, wherever the repository is written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from ..common.errors import NoSpace


@contextlib.contextmanager
def space_for(path: str) -> Iterator[None]:
    """Raise NoSpace for "no space left" and "quota exceeded" in the block, to write ``path``; pass on other errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"No space is left in the repository for {path}.",
                code="repository.no_space",
                hint="Free space on that file system, for instance with state collected of strata.layering.repository.",
            ) from error
        raise
