# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for a terminal."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata

from .report import Table

_WIDEST = 100


def render(table: Table) -> str:
    """A table with ruled headings, at most as wide as the terminal or 100 columns; long last cells are wrapped."""
    width = min(_WIDEST, max(60, shutil.get_terminal_size((_WIDEST, 24)).columns))
    rows = [table.headings, *table.rows]
    widths = [max(_cells(row[column]) for row in rows) for column in range(len(table.headings))]
    rest = width - sum(widths[:-1]) - 3 * len(widths) - 1
    widths[-1] = max(10, min(widths[-1], rest))
    lines = [table.title, "┌" + "┬".join("─" * (one + 2) for one in widths) + "┐"]
    if any(table.headings):
        lines += [*_row(table.headings, widths, table.numbers), "├" + "┼".join("─" * (one + 2) for one in widths) + "┤"]
    for number, row in enumerate(table.rows):
        if number in table.strong:
            lines.append("├" + "┼".join("─" * (one + 2) for one in widths) + "┤")
        lines += _row(row, widths, table.numbers)
    lines.append("└" + "┴".join("─" * (one + 2) for one in widths) + "┘")
    return "\n".join("  " + line for line in lines)


def _row(cells: list[str], widths: list[int], numbers: set[int]) -> list[str]:
    last = textwrap.wrap(cells[-1], widths[-1]) or [""]
    lines = []
    for number, part in enumerate(last):
        texts = [*(cells[:-1] if number == 0 else [""] * (len(cells) - 1)), part]
        padded = []
        for column, (text, width) in enumerate(zip(texts, widths)):
            space = " " * (width - _cells(text))
            padded.append(space + text if column in numbers else text + space)
        lines.append("│ " + " │ ".join(padded) + " │")
    return lines


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
