# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the result, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Run

MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """What is required of a number: at least or at most ``value``."""

    least: bool
    value: float
    unit: str = "x"

    def met(self, number: float) -> bool:
        """Whether ``number`` is good enough."""
        return number >= self.value if self.least else number <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.value:g}{self.unit}"


@dataclass
class Row:
    """One comparison. ``number`` is what the target judges: a ratio, or with no peer a plain figure in the target's unit.

    ``memory`` is our peak in bytes; ``note`` says what a reader has to know to believe the figure.
    ``cpu`` are the processors' seconds, ours and the peer's: they tell more when the machine has other work.
    """

    case: str
    what: str
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
        """ "met", "MISSED", or nothing where nothing is required."""
        if self.target is None or self.number is None:
            return ""
        return "met" if self.target.met(self.number) else "MISSED"

    def to_dict(self) -> dict:
        """The row as it is kept in result.json."""
        return {
            "case": self.case,
            "what": self.what,
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
    """Median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def work(ours: Sequence[Run], theirs: Sequence[Run]) -> tuple[float, float]:
    """Medians of the processors' seconds."""
    return statistics.median(run.cpu for run in ours), statistics.median(run.cpu for run in theirs)


def peak(runs: Sequence[Run]) -> int:
    """Largest memory."""
    return max(run.memory for run in runs)


def seconds(value: float) -> str:
    """For people: 0.42 s, 4.2 s, 42 s."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def megabytes(count: float) -> str:
    """For people: bytes as MB of a million."""
    return f"{count / 1e6:.2f} MB" if count < 10e6 else f"{count / 1e6:.0f} MB"


_HEADINGS = ("case", "what", "ours", "peer", "ratio", "required", "", "memory", "cpu", "sizes")


def table(rows: Sequence[Row]) -> str:
    """The rows as an aligned table, with their notes below."""
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
            (row.case, row.what + mark, row.ours, row.peer, ratio, required, row.verdict, memory, cpu, row.sizes)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    printed = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    printed.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(printed + [""] + [f"[{number}] {note}" for number, note in enumerate(notes, 1)])
