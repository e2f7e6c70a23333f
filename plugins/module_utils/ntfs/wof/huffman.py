# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding tables of canonical Huffman codes, for the decoders of XPRESS and LZX."""

from __future__ import annotations

from collections.abc import Sequence

#: ``MASKS[n]`` keeps the lower n bits of a bit buffer.
MASKS = tuple((1 << count) - 1 for count in range(129))


class DamagedData(Exception):
    """Compressed data contradicts itself; the message is the cause, without the subject. The reader of the file adds the subject."""


def decoding_table(lengths: Sequence[int], name: str, *, may_be_empty: bool = False) -> tuple[list[int], int]:
    """Return (table, bits) of a canonical code; ``lengths`` has the bits of each symbol's codeword, 0 if it is not used.

    The next ``bits`` bits of the input are the index into the table. An entry is the symbol, shifted left by 5, plus the bits of
    its codeword. A code in which no symbol is used has an empty table with 0 bits.

    Raises:
        DamagedData: the code has unused or ambiguous codewords.
    """
    used: list[list[int]] = [[] for _length in range(17)]
    for symbol, length in enumerate(lengths):
        used[length].append(symbol << 5 | length)
    bits = max((length for length in range(1, 17) if used[length]), default=0)
    table: list[int] = []
    for length in range(1, bits + 1):
        entries = used[length]
        if entries:
            count = 1 << (bits - length)
            if len(table) + len(entries) * count > 1 << bits:
                raise DamagedData(f"the {name} has too many codewords")
            if count == 1:
                table += entries
            else:
                for entry in entries:
                    table += [entry] * count
    if len(table) != 1 << bits and not (may_be_empty and not bits):
        raise DamagedData(f"the {name} lacks codewords")
    return table, bits
