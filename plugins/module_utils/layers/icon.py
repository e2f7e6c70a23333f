# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons of layers and templates: PNG or JPEG files of limited size, recognized by content.

Sources: PNG (ISO/IEC 15948) clause 11.2.2 IHDR; JPEG (ITU-T T.81) annex B, frame headers.
"""

from __future__ import annotations

from ..common.errors import InvalidInput

MAX_BYTES = 1 << 20
MAX_SIDE = 2048


def icon_media_type(data: bytes, name: str = "icon") -> str:
    """Return ``image/png`` or ``image/jpeg``; ``name`` names the icon in errors.

    Raises:
        InvalidInput layers.icon_size: ``data`` is larger than 1 MiB.
        InvalidInput layers.icon_format: ``data`` is not a PNG or JPEG file of 1 to 2048 pixels a side.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(
            f"The {name} is too large: it has more than {MAX_BYTES >> 20} MiB.",
            code="layers.icon_size",
            hint=f"Set the option icon to a PNG or JPEG file of at most {MAX_BYTES >> 20} MiB.",
        )
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kind, sides = "image/png", _png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        kind, sides = "image/jpeg", _jpeg(data)
    else:
        raise InvalidInput(
            f"The {name} is neither a PNG nor a JPEG file.",
            code="layers.icon_format",
            hint="Set the option icon to a PNG or JPEG file.",
        )
    if sides is None or not all(0 < side <= MAX_SIDE for side in sides):
        raise InvalidInput(
            f"The {name} has no valid dimensions: it is damaged or larger than {MAX_SIDE} x {MAX_SIDE} pixels.",
            code="layers.icon_format",
            hint=f"Set the option icon to an intact file of at most {MAX_SIDE} x {MAX_SIDE} pixels.",
        )
    return kind


def _png(data: bytes) -> tuple[int, int] | None:
    if data[8:16] != b"\0\0\0\rIHDR" or len(data) < 33:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[position + 7 : position + 9], "big"), int.from_bytes(
                data[position + 5 : position + 7], "big"
            )
        if marker in (0xD8, 0x01) or 0xD0 <= marker <= 0xD7:
            position += 2
            continue
        if marker in (0xD9, 0xDA):
            return None
        position += 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
    return None
