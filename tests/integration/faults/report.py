# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the matrix of faults and write docs/reliability.md:

python -m ansible_collections.strata.layering.tests.integration.faults.report
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import re
import sys
from collections.abc import Iterable, Mapping

from ansible_collections.strata.layering.tests.integration.faults import matrix, situations, transfer_matrix
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case
from ansible_collections.strata.layering.tests.integration.faults.recording import Recording, shared_recording
from ansible_collections.strata.layering.tests.integration.faults.workers import Workers

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
_TEXT = pathlib.Path(__file__).with_name("reliability.in.md")
#: Separates the outcomes of cases that share a cell.
_SEPARATOR = "<br>"
Key = tuple[str, str, str]
#: Tables with the column of uploads.
_COUNTED = ("publish: changes", "publish: reads", matrix.BUSY)

_EXPLANATIONS = {
    "publish: changes": (
        "Calls of a publish that change something, or begin or end a session. A number marks the repetition of a call."
    ),
    "publish: reads": (
        "Calls of a publish that read. The first row of a method has all columns; further rows have the columns that "
        "depend on the position of the call."
    ),
    "export: changes": "Calls of an export that change something, or begin or end a session.",
    "export: reads": "Calls of an export that read, without the columns that the table of a publish has already.",
    matrix.BUSY: (
        "vCenter refuses a call because it is still working on the VM. Each case also checks that the disk was transferred only once."
    ),
    situations.TRANSFERS: "Disks that move between the composer and an ESXi host, and the lease of the transfer.",
    situations.KILLS: "The composer is killed right before it writes the file in the first column, every time it does.",
    situations.CONCURRENT: "Several composers at work at the same moment.",
    transfer_matrix.TABLES[transfer_matrix.PUSH]: (
        "Requests of a push of an image template with its layers to a registry. The fault hits the last request of the row, and the second of "
        "several chunks."
    ),
    transfer_matrix.TABLES[transfer_matrix.PULL]: "Requests of a pull of the same template into an empty repository.",
}


def all_cases(recording: Recording) -> list[Case]:
    """Return the whole matrix."""
    return [*matrix.cases(recording), *situations.cases(recording), *transfer_matrix.cases(recording.transfers)]


@functools.cache
def committed() -> dict[Key, frozenset[str]]:
    """Return the outcomes in each cell of docs/reliability.md that is not empty."""
    found: dict[Key, frozenset[str]] = {}
    if not DOCUMENT.exists():
        return found
    table = ""
    columns: list[str] = []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            table, columns = line[4:].strip(), []
        elif table and line.startswith("|") and not line.startswith("|-"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not columns:
                columns = cells[1:]
                continue
            for column, cell in zip(columns, cells[1:]):
                if cell and column != matrix.UPLOADS:
                    found[table, cells[0], column] = frozenset(cell.split(_SEPARATOR))
    return found


def render(outcomes: Mapping[Key, Iterable[str]]) -> str:
    """Return the document with these outcomes."""
    tables = []
    for table in dict.fromkeys(key[0] for key in outcomes):
        rows = list(dict.fromkeys(key[1] for key in outcomes if key[0] == table))
        columns = _columns(table, outcomes)
        counted = [matrix.UPLOADS] if table in _COUNTED else []
        lines = [
            f"### {table}",
            "",
            _EXPLANATIONS[table],
            "",
            _line(["", *columns, *counted]),
            _line(["---"] * (len(columns) + len(counted) + 1)).replace(" ", ""),
        ]
        for row in rows:
            found = [sorted(outcomes.get((table, row, column), ())) for column in columns]
            number = str(matrix.uploads(outcome for cell in found for outcome in cell))
            lines.append(_line([row, *map(_SEPARATOR.join, found), *([number] if counted else [])]))
        tables.append("\n".join(lines) + "\n")
    return _TEXT.read_text(encoding="utf-8").rstrip() + "\n\n" + "\n".join(tables)


def _columns(table: str, outcomes: Mapping[Key, Iterable[str]]) -> list[str]:
    known = (
        [*transfer_matrix.COLUMNS]
        if table in transfer_matrix.TABLES.values()
        else [*matrix.CHANGES, *matrix.BUSY_COLUMNS, *situations.OPERATIONS, situations.OUTCOME]
    )
    return sorted({key[2] for key in outcomes if key[0] == table}, key=known.index)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Run all cases and write the document; return 1 and write nothing if a check of a case failed."""
    parser = argparse.ArgumentParser(description="Run the matrix of faults and write docs/reliability.md.")
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="run only cases whose name matches, and keep the other cells of the document",
    )
    parser.add_argument("--workers", type=int, default=2, help="run this number of cases at a time")
    chosen_options = parser.parse_args(arguments)
    pattern = re.compile(chosen_options.only)
    known = all_cases(shared_recording())
    chosen = [case for case in known if pattern.search(case.id)]
    keys = {case.key for case in chosen}
    outcomes: dict[Key, set[str]] = {
        case.key: set() if case.key in keys else set(committed().get(case.key, ())) for case in known
    }
    failed = 0
    with Workers(chosen, chosen_options.workers) as workers:
        for number, case in enumerate(chosen, 1):
            try:
                outcome = workers.outcome(case)
                outcomes[case.key].add(outcome)
            except AssertionError as error:
                outcome = f"FAILED: {error}"
                failed += 1
            sys.stdout.write(f"{number}/{len(chosen)} {case.id}: {outcome}\n")
            sys.stdout.flush()
    if failed:
        sys.stdout.write(f"Checks failed in {failed} cases; nothing was written.\n")
        return 1
    DOCUMENT.write_text(render(outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
