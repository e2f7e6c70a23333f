# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of the chunks of an upload: what one request sends, and what a failure costs at most."""

from __future__ import annotations

from ..model import CHUNK_SIZE, CHUNK_UNIT

#: The largest chunk in bytes that is chosen without the option chunk_size_mb.
LONGEST_CHUNK = 1 << 30
#: Seconds that a chunk may take at most if it is larger than the first chunk: reverse proxies interrupt long requests.
_LONGEST_REQUEST = 10.0


class ChunkSizes:
    """The size of the next chunk of a blob, ``current`` in bytes.

    A registry writes each chunk to its disk before it answers, so fewer chunks are faster. Chunks grow while requests are short,
    unless their size is configured. After a failure they do not grow any more.
    """

    def __init__(self, configured: int | None) -> None:
        self.current = configured or CHUNK_SIZE
        self._grows = configured is None

    def sent(self, length: int, seconds: float) -> None:
        """Adapt the size to a chunk that was sent in this time."""
        if self._grows and length >= self.current:
            reachable = int(length * _LONGEST_REQUEST / max(seconds, 0.001))
            self.current = max(self.current, min(2 * self.current, reachable, LONGEST_CHUNK))

    def failed(self) -> None:
        """Do not use chunks larger than the first chunk again: a reverse proxy may have interrupted a long request."""
        if self._grows:
            self._grows = False
            self.current = min(self.current, CHUNK_SIZE)

    def shrink(self) -> bool:
        """Use smaller chunks from now on; return False if they are the smallest already."""
        before = self.current
        self.failed()
        if self.current == before:
            self.current = max(self.current // 2, min(CHUNK_UNIT, self.current))
        return self.current < before
