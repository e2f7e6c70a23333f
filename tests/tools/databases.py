# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the table of databases in docs/capture.md, or write it there.

    databases.py [--write]

The collection must be importable, as in the tests.
"""

from __future__ import annotations

import pathlib
import sys

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.all import DATABASES
from ansible_collections.strata.layering.plugins.module_utils.capture.databases.model import Database

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "capture.md"
_BEGIN, _END = "<!-- databases -->\n", "<!-- end of databases -->\n"


def table() -> str:
    """Return the table in Markdown."""
    lines = ["| database | content | by default |", "|---|---|---|"]
    for database in sorted(DATABASES, key=lambda database: database.name):
        content = database.text[0].upper() + database.text[1:]
        lines.append(f"| `{database.name}` | {content}. | {_verdict(database)} |")
    return "\n".join(lines) + "\n"


def _verdict(database: Database) -> str:
    kinds = ", ".join(f"{kind} layers" for kind in sorted(database.taken_by))
    return f"captured in {kinds}" if kinds else "excluded"


def page() -> str:
    """Return the page with the current table."""
    before, _begin, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    return f"{before}{_BEGIN}{table()}{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(table())
