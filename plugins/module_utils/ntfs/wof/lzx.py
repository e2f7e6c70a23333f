# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode a chunk of LZX in the variant of WIM archives, which CompactOS uses with chunks of 32 KiB.

Sources: Microsoft's "LZX Data Compression Format" and [MS-PATCH] for blocks, codes and matches; the comments of wimlib for the
differences of WIM's variant: a window of 32 KiB that is empty at the start of each chunk, no header of the stream, block sizes of
one bit (32 KiB) or 17 bits, and the translation of x86 calls always with a file size of 12,000,000 bytes.
"""

from __future__ import annotations

import struct

from .huffman import MASKS, DamagedData, decoding_table

_WINDOW = 32768
_SLOTS = 30
_LITERALS = 256
_MAIN_SYMBOLS = _LITERALS + 8 * _SLOTS
_LENGTH_SYMBOLS = 249
_PRECODE_SYMBOLS = 20
_ALIGNED_SYMBOLS = 8
_VERBATIM, _ALIGNED, _UNCOMPRESSED = 1, 2, 3
#: Offset slots 0 to 2 are the three recent distances.
_RECENT = 3
#: Bits of the distance that follow the main symbol, for each offset slot.
_EXTRA_BITS = tuple(0 if slot < 4 else slot // 2 - 1 for slot in range(_SLOTS))
#: The smallest distance of each offset slot, without the extra bits.
_BASES = tuple(slot - 2 if slot < 4 else ((2 + (slot & 1)) << (slot // 2 - 1)) - 2 for slot in range(_SLOTS))
_CALL = 0xE8
_CALL_FILE_SIZE = 12_000_000
#: The last bytes of a chunk, in which no call begins.
_CALL_TAIL = 10
#: Units of zeros after the input: the decoder reads units before it needs them.
_PADDING = 6
_TOO_SHORT = "it ends too early"


def decompress(data: bytes, size: int) -> bytes:
    """Return the ``size`` bytes, at most 32768, that ``data`` contains.

    Raises:
        DamagedData: the data is truncated or contradicts itself.
    """
    return _undo_call_translation(_Decoder(data, size).run())


class _Decoder:
    """The state of a chunk: ``_bits`` has ``_left`` bits that are not used yet, ``_number`` is that of the next unit."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        padded = data + bytes(len(data) & 1)
        self._units = struct.unpack(f"<{len(padded) // 2}H", padded) + (0,) * _PADDING
        self._available = len(self._units)
        self._number = self._bits = self._left = 0
        self._out = bytearray()
        self._recent = [1, 1, 1]
        self._main_lengths = bytearray(_MAIN_SYMBOLS)
        self._length_lengths = bytearray(_LENGTH_SYMBOLS)

    def run(self) -> bytearray:
        """Return the decoded bytes, with translated calls."""
        while len(self._out) < self._size:
            kind = self._take(3)
            count = _WINDOW if self._take(1) else self._take(16)
            if not 0 < count <= self._size - len(self._out):
                raise DamagedData("a block has an impossible size")
            if kind == _UNCOMPRESSED:
                self._copy_block(count)
            elif kind in (_VERBATIM, _ALIGNED):
                self._decode_block(count, kind == _ALIGNED)
            else:
                raise DamagedData("a block has an unknown type")
        if self._number - (self._left >> 4) > self._available - _PADDING:
            raise DamagedData(_TOO_SHORT)
        return self._out

    def _take(self, count: int) -> int:
        """Return the next ``count`` bits, at most 16."""
        if self._left < count:
            if self._number >= self._available:
                raise DamagedData(_TOO_SHORT)
            self._bits = (self._bits & MASKS[self._left]) << 16 | self._units[self._number]
            self._number += 1
            self._left += 16
        self._left -= count
        return self._bits >> self._left & MASKS[count]

    def _take_symbol(self, table: list[int], peeked: int) -> int:
        """Return the next symbol of a code."""
        value = self._take(peeked)
        entry = table[value]
        self._left += peeked - (entry & 31)
        return entry >> 5

    def _copy_block(self, count: int) -> None:
        """Copy a block that is not compressed: it begins at the next unit, or after that unit if all bits of a unit are used."""
        unused = self._left >> 4
        position = (self._number - unused) * 2 + (0 if self._left & 15 else 2)
        if position + 12 + count > len(self._data):
            raise DamagedData(_TOO_SHORT)
        self._recent = list(struct.unpack_from("<3I", self._data, position))
        self._out += self._data[position + 12 : position + 12 + count]
        self._number, self._left = (position + 12 + count + 1) // 2, 0

    def _read_lengths(self, lengths: bytearray, start: int, end: int) -> None:
        """Read the lengths of codewords from ``start`` to ``end``: differences from the former lengths, in a code of their own."""
        table, peeked = decoding_table([self._take(4) for _symbol in range(_PRECODE_SYMBOLS)], "code of the lengths")
        position = start
        while position < end:
            symbol = self._take_symbol(table, peeked)
            if symbol < 17:
                lengths[position] = (lengths[position] - symbol) % 17
                position += 1
                continue
            if symbol == 17:
                count, value = self._take(4) + 4, 0
            elif symbol == 18:
                count, value = self._take(5) + 20, 0
            else:
                count = self._take(1) + 4
                symbol = self._take_symbol(table, peeked)
                if symbol > 16:
                    raise DamagedData("the lengths of a code are invalid")
                value = (lengths[position] - symbol) % 17
            if count > end - position:
                raise DamagedData("the lengths of a code are invalid")
            lengths[position : position + count] = bytes((value,)) * count
            position += count

    def _decode_block(self, count: int, has_aligned: bool) -> None:
        aligned: tuple[list[int], int] = [], 0
        if has_aligned:
            aligned = decoding_table([self._take(3) for _symbol in range(_ALIGNED_SYMBOLS)], "code of aligned offsets")
        self._read_lengths(self._main_lengths, 0, _LITERALS)
        self._read_lengths(self._main_lengths, _LITERALS, _MAIN_SYMBOLS)
        main = decoding_table(self._main_lengths, "main code")
        self._read_lengths(self._length_lengths, 0, _LENGTH_SYMBOLS)
        length = decoding_table(self._length_lengths, "code of match lengths", may_be_empty=True)
        self._decode_symbols(count, main, length, aligned if has_aligned else None)

    def _decode_symbols(
        self,
        count: int,
        main: tuple[list[int], int],
        length_code: tuple[list[int], int],
        aligned: tuple[list[int], int] | None,
    ) -> None:
        """Decode ``count`` bytes. All state is in local variables: this loop decides the speed."""
        units, number, available, masks = self._units, self._number, self._available - 2, MASKS
        bits, left, out = self._bits, self._left, self._out
        (table, peeked), (length_table, length_peeked) = main, length_code
        mask, length_mask = masks[peeked], masks[length_peeked]
        aligned_table, aligned_peeked = aligned or ([], 0)
        recent0, recent1, recent2 = self._recent
        extra_bits, bases, append = _EXTRA_BITS, _BASES, out.append
        done = len(out)
        end = done + count
        while done < end:
            if left < 32:
                if number > available:
                    raise DamagedData(_TOO_SHORT)
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
            length = (symbol & 7) + 2
            if length == 9:
                if not length_peeked:
                    raise DamagedData("a match has a length without a code")
                entry = length_table[bits >> (left - length_peeked) & length_mask]
                left -= entry & 31
                length += entry >> 5
            slot = (symbol >> 3) - 32
            if slot >= _RECENT:
                if left < 16:
                    if number > available:
                        raise DamagedData(_TOO_SHORT)
                    bits = (bits & masks[left]) << 32 | units[number] << 16 | units[number + 1]
                    number += 2
                    left += 32
                width = extra_bits[slot]
                distance = bases[slot]
                if aligned is not None and width >= 3:
                    left -= width - 3
                    distance += (bits >> left & masks[width - 3]) << 3
                    entry = aligned_table[bits >> (left - aligned_peeked) & masks[aligned_peeked]]
                    left -= entry & 31
                    distance += entry >> 5
                else:
                    left -= width
                    distance += bits >> left & masks[width]
                recent0, recent1, recent2 = distance, recent0, recent1
            elif slot == 1:
                recent0, recent1 = recent1, recent0
            elif slot == 2:
                recent0, recent2 = recent2, recent0
            distance = recent0
            if not 0 < distance <= done or length > end - done:
                raise DamagedData("a match is outside of the data")
            if distance >= length:
                start = done - distance
                out += out[start : start + length]
            else:
                out += (out[-distance:] * (length // distance + 1))[:length]
            done += length
        self._number, self._bits, self._left = number, bits, left
        self._recent = [recent0, recent1, recent2]


def _undo_call_translation(out: bytearray) -> bytes:
    """Turn the absolute targets of x86 calls into relative targets again."""
    end = len(out) - _CALL_TAIL
    position = out.find(_CALL, 0, max(end, 0))
    while position >= 0:
        (target,) = struct.unpack_from("<i", out, position + 1)
        if -position <= target < _CALL_FILE_SIZE:
            struct.pack_into("<i", out, position + 1, target - position if target >= 0 else target + _CALL_FILE_SIZE)
        position = out.find(_CALL, position + 5, end)
    return bytes(out)
