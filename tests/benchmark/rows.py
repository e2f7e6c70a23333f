# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the result and their output as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Run

MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """The required limit of a number: at least or at most ``value``."""

    least: bool
    value: float
    unit: str = "x"

    def met(self, number: float) -> bool:
        """Return whether ``number`` meets the target."""
        return number >= self.value if self.least else number <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.value:g}{self.unit}"


@dataclass
class Row:
    """One comparison of ``subject``. The target applies to ``number``: a ratio, or without a peer a figure in the target's unit.

    ``memory`` is our peak in bytes; ``note`` describes the conditions of the measurement.
    ``cpu`` is the processor time in seconds, ours and the peer's; it is more reliable than the elapsed time on a busy host.
    """

    case: str
    subject: str
    ours: str
    peer: str = ""
    number: float | None = None
    target: Target | None = None
    memory: int | None = None
    sizes: str = ""
    note: str = ""
    cpu: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """Return "met", "MISSED", or an empty text for a row without a target."""
        if self.target is None or self.number is None:
            return ""
        return "met" if self.target.met(self.number) else "MISSED"

    def to_dict(self) -> dict:
        """Return the row in the form of result.json."""
        return {
            "case": self.case,
            "what": self.subject,
            "ours": self.ours,
            "peer": self.peer,
            "number": self.number,
            "required": str(self.target) if self.target else None,
            "verdict": self.verdict,
            "memory": self.memory,
            "sizes": self.sizes,
            "note": self.note,
            "cpu": self.cpu,
        }


def middle(runs: Sequence[Run]) -> float:
    """Return the median of the elapsed seconds."""
    return statistics.median(run.seconds for run in runs)


def work(ours: Sequence[Run], theirs: Sequence[Run]) -> tuple[float, float]:
    """Return the medians of the processor seconds, ours and the peer's."""
    return statistics.median(run.cpu for run in ours), statistics.median(run.cpu for run in theirs)


def peak(runs: Sequence[Run]) -> int:
    """Return the largest peak memory in bytes."""
    return max(run.memory for run in runs)


def seconds(value: float) -> str:
    """Return a duration with its unit, such as 0.42 s or 42.0 s."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def megabytes(count: float) -> str:
    """Return a number of bytes in MB of a million bytes."""
    return f"{count / 1e6:.2f} MB" if count < 10e6 else f"{count / 1e6:.0f} MB"


_HEADINGS = ("case", "what", "ours", "peer", "ratio", "required", "", "memory", "cpu", "sizes")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned table, with their notes below."""
    lines, notes = [_HEADINGS], []
    for row in rows:
        mark = ""
        if row.note:
            if row.note not in notes:
                notes.append(row.note)
            mark = f" [{notes.index(row.note) + 1}]"
        ratio = "" if row.number is None or row.target is not None and row.target.unit != "x" else f"{row.number:.2f}x"
        required = str(row.target) if row.target else ""
        memory = f"{row.memory / MIB:.0f} MiB" if row.memory else ""
        cpu = f"{row.cpu[0]:.2f} s : {row.cpu[1]:.2f} s" if row.cpu else ""
        lines.append(
            (row.case, row.subject + mark, row.ours, row.peer, ratio, required, row.verdict, memory, cpu, row.sizes)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    printed = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    printed.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(printed + [""] + [f"[{number}] {note}" for number, note in enumerate(notes, 1)])
