# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode a chunk of XPRESS (LZ77 and Huffman), the format of CompactOS for chunks of 4, 8 and 16 KiB.

Source: [MS-XCA], sections 2.1 and 2.2. A chunk is one block of that format: 256 bytes with the codeword lengths of 512
symbols, then a stream of bits in 16-bit units, in which the bytes of long match lengths are interspersed.
"""

from __future__ import annotations

import struct

from .huffman import MASKS, DamagedData, decoding_table

_LOW = bytes(value & 15 for value in range(256))
_HIGH = bytes(value >> 4 for value in range(256))
_TABLE_SIZE = 256
_SYMBOLS = 512
#: Zeros after the input: the decoder reads units before it needs them.
_PADDING = bytes(16)


def decompress(data: bytes, size: int) -> bytes:
    """Return the ``size`` bytes that ``data`` contains.

    Raises:
        DamagedData: the data is truncated or contradicts itself.
    """
    if len(data) < _TABLE_SIZE:
        raise DamagedData(f"it has {len(data)} bytes, less than the {_TABLE_SIZE} bytes of its code")
    lengths = bytearray(_SYMBOLS)
    lengths[0::2] = data[:_TABLE_SIZE].translate(_LOW)
    lengths[1::2] = data[:_TABLE_SIZE].translate(_HIGH)
    table, peeked = decoding_table(lengths, "code")
    return _Decoder(data[_TABLE_SIZE:], size).run(table, peeked)


class _Decoder:
    def __init__(self, data: bytes, size: int) -> None:
        self._size = size
        self._end = len(data)
        self._data = data + _PADDING + bytes(len(data) & 1)
        self._units: list[tuple[int, ...] | None] = [None, None]

    def _units_from(self, offset: int) -> tuple[int, ...]:
        """Return the 16-bit units of the input, from byte 0 or 1: an interspersed byte moves the units behind it."""
        units = self._units[offset]
        if units is None:
            units = struct.unpack_from(f"<{(len(self._data) - offset) // 2}H", self._data, offset)
            self._units[offset] = units
        return units

    def run(self, table: list[int], peeked: int) -> bytes:
        """Return the decoded bytes. ``position`` is that of the next unit; ``bits`` has ``left`` bits that are not used yet."""
        size, data, masks, mask = self._size, self._data, MASKS, MASKS[peeked]
        units, number, shift = self._units_from(0), 0, 0
        available = self._end // 2 + 2  # The last two units may be padding.
        out = bytearray()
        append, done = out.append, 0
        bits = left = 0
        while done < size:
            if left < 32:
                if number > available:
                    raise DamagedData("it ends too early")
                bits = (bits & masks[left]) << 32 | units[number] << 16 | units[number + 1]
                number += 2
                left += 32
            entry = table[bits >> (left - peeked) & mask]
            left -= entry & 31
            symbol = entry >> 5
            if symbol < 256:
                append(symbol)
                done += 1
                continue
            length = symbol & 15
            if length == 15:
                # The bytes of the length follow the units of which the first 16 bits that are not used yet are part.
                ahead = (left - 16) >> 4
                bits >>= ahead << 4
                left -= ahead << 4
                position = (number - ahead) * 2 + shift
                length += data[position]
                position += 1
                if length == 270:
                    length = data[position] | data[position + 1] << 8
                    position += 2
                shift = position & 1
                units, number, available = self._units_from(shift), position >> 1, (self._end - shift) // 2 + 2
            width = symbol >> 4 & 15
            left -= width
            distance = bits >> left & masks[width] | 1 << width
            length += 3
            done += length
            if distance > done - length or done > size:
                raise DamagedData("a match is outside of the data")
            if distance >= length:
                start = done - length - distance
                out += out[start : start + length]
            else:
                out += (out[-distance:] * (length // distance + 1))[:length]
        if (number * 2 + shift) - (left >> 4) * 2 > self._end:
            raise DamagedData("it ends too early")
        return bytes(out)
