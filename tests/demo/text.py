# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the report as text for a terminal."""

from __future__ import annotations

import itertools
import shutil
import textwrap
import unicodedata

from .report import Table

_WIDEST = 100
_NARROWEST = 16
_INDENT = "  "


def render(table: Table) -> str:
    """Return a table with ruled headings, at most as wide as the terminal and 100 columns; cells of the widest column wrap."""
    rows = [table.headings, *table.rows]
    widths = [max(_cells(row[column]) for row in rows) for column in range(len(table.headings))]
    surplus = (
        sum(widths) + 3 * len(widths) + 1 + len(_INDENT) - min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    )
    widest = widths.index(max(widths))
    widths[widest] = max(_NARROWEST, widths[widest] - max(0, surplus))
    lines = [table.title, _rule("┌┬┐", widths)]
    if any(table.headings):
        lines += [*_row(table.headings, widths, table.numbers), _rule("├┼┤", widths)]
    for number, row in enumerate(table.rows):
        if number in table.strong:
            lines.append(_rule("├┼┤", widths))
        lines += _row(row, widths, table.numbers)
    lines.append(_rule("└┴┘", widths))
    return "\n".join(_INDENT + line for line in lines)


def _rule(corners: str, widths: list[int]) -> str:
    return corners[0] + corners[1].join("─" * (width + 2) for width in widths) + corners[2]


def _row(cells: list[str], widths: list[int], numbers: frozenset[int]) -> list[str]:
    wrapped = [[cell] if _cells(cell) <= width else textwrap.wrap(cell, width) for cell, width in zip(cells, widths)]
    lines = []
    for texts in itertools.zip_longest(*wrapped, fillvalue=""):
        padded = []
        for column, (text, width) in enumerate(zip(texts, widths)):
            space = " " * (width - _cells(text))
            padded.append(space + text if column in numbers else text + space)
        lines.append("│ " + " │ ".join(padded) + " │")
    return lines


def _cells(text: str) -> int:
    """Return how many columns a text occupies on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
