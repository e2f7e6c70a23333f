# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""8.3 names as Windows makes them: six characters, "~" and a number; from the fifth on a hash."""

from __future__ import annotations

import itertools
import re
import zlib

_ALLOWED = re.compile(r"[^A-Z0-9!#$%&'()\-@^_`{}~]")


def is_short(name: str) -> bool:
    """Return whether ``name`` is an 8.3 name itself, so that Windows keeps it as its only name."""
    base, dot, extension = name.upper().partition(".")
    return (
        bool(base)
        and len(base) <= 8
        and len(extension) <= 3
        and (not dot or bool(extension))
        and not _ALLOWED.search(base + extension)
    )


def make_short(name: str, taken: set[str]) -> str:
    """An 8.3 name for ``name`` that is not in ``taken`` (upper case), and adds it there."""
    base, dot, extension = name.upper().lstrip(".").rpartition(".")
    if not dot:
        base, extension = extension, ""
    base = _ALLOWED.sub("_", re.sub(r"[ .]", "", base)) or "_"
    extension = _ALLOWED.sub("_", re.sub(r"[ .]", "", extension))[:3]
    suffix = "." + extension if extension else ""
    checksum = zlib.crc32(name.encode("utf-16-le", "surrogatepass")) & 0xFFFF
    plain = (f"{base[:6]}~{number}{suffix}" for number in range(1, 5))
    hashed = (f"{base[:2]}{(checksum + step) & 0xFFFF:04X}~1{suffix}" for step in range(0x10000))
    chosen = next(candidate for candidate in itertools.chain(plain, hashed) if candidate not in taken)
    taken.add(chosen)
    return chosen
