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

from ansible_collections.strata.layering.tests.integration.faults import matrix, situations
from ansible_collections.strata.layering.tests.integration.faults.bench import Bench
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case
from ansible_collections.strata.layering.tests.integration.faults.workers import Workers

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
_TEXT = pathlib.Path(__file__).with_name("reliability.in.md")
#: Between the words of cases that share a cell.
_BETWEEN = "<br>"
Key = tuple[str, str, str]

_EXPLAINED = {
    "publish: changes": "Calls of a publish that change something, or begin or end a session. A call that is made several times has a number.",
    "publish: reads": "Calls of a publish that read; a method that is tried again further down is tried there in those ways that depend on the place.",
    "export: changes": "The same for an export.",
    "export: reads": "Ways of failing that were tried with a publish already, and do not depend on what is read, are left out.",
    situations.TRANSFERS: "Disks on their way between the composer and an ESXi host, and the lease under which they move.",
    situations.DEATHS: "The composer is killed right before it writes what the row says, each time that it does.",
    situations.RIVALS: "Others at work at the same moment.",
}


def all_cases(bench: Bench) -> list[Case]:
    """The whole matrix."""
    return matrix.cases(bench) + situations.cases(bench)


@functools.cache
def committed() -> dict[Key, frozenset[str]]:
    """What docs/reliability.md has in each cell that is not empty."""
    found: dict[Key, frozenset[str]] = {}
    if not DOCUMENT.exists():
        return found
    table, columns = "", []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            table, columns = line[4:].strip(), []
        elif table and line.startswith("|") and not line.startswith("|-"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not columns:
                columns = cells[1:]
                continue
            found.update(
                {
                    (table, cells[0], column): frozenset(cell.split(_BETWEEN))
                    for column, cell in zip(columns, cells[1:])
                    if cell
                }
            )
    return found


def render(outcomes: Mapping[Key, Iterable[str]]) -> str:
    """The document."""
    tables = []
    for table in dict.fromkeys(key[0] for key in outcomes):
        rows = list(dict.fromkeys(key[1] for key in outcomes if key[0] == table))
        columns = _columns(table, outcomes)
        lines = [
            f"### {table}",
            "",
            _EXPLAINED[table],
            "",
            _line(["", *columns]),
            _line(["---"] * (len(columns) + 1)).replace(" ", ""),
        ]
        lines += [
            _line([row, *(_BETWEEN.join(sorted(outcomes.get((table, row, column), ()))) for column in columns)])
            for row in rows
        ]
        tables.append("\n".join(lines) + "\n")
    return _TEXT.read_text(encoding="utf-8").rstrip() + "\n\n" + "\n".join(tables)


def _columns(table: str, outcomes: Mapping[Key, Iterable[str]]) -> list[str]:
    known = [*matrix.CHANGES, *situations.WORKS, situations.OUTCOME]
    return sorted({key[2] for key in outcomes if key[0] == table}, key=known.index)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Try all cases and write the document; 1, and nothing written, when one does not end as it must."""
    parser = argparse.ArgumentParser(description="Run the matrix of faults and write docs/reliability.md.")
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help="try only cases whose name matches, and keep what the document has of the others",
    )
    wanted = re.compile(parser.parse_args(arguments).only)
    with Bench() as bench:
        known = all_cases(bench)
    cases = [case for case in known if wanted.search(case.id)]
    again = {case.key for case in cases}
    outcomes = {case.key: set() if case.key in again else set(committed().get(case.key, ())) for case in known}
    failed = 0
    with Workers(cases) as workers:
        for number, case in enumerate(cases, 1):
            try:
                words = workers.outcome(case)
                outcomes[case.key].add(words)
            except AssertionError as error:
                words = f"NOT AS IT MUST: {error}"
                failed += 1
            sys.stdout.write(f"{number}/{len(cases)} {case.id}: {words}\n")
            sys.stdout.flush()
    if failed:
        sys.stdout.write(f"{failed} cases did not end as they must; nothing was written.\n")
        return 1
    DOCUMENT.write_text(render(outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
