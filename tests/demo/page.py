# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same tables as a page that needs nothing but itself."""

from __future__ import annotations

import html

from .report import Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7c; --line: #d8dee6; --paper: #fff; --ground: #f3f5f8; --accent: #1565a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --soft: #93a1b1; --line: #2f3945; --paper: #1a212a; --ground: #12171d; --accent: #6db3f2; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
p { margin: 0 0 1.2rem; color: var(--soft); max-width: 46rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem 1.1rem; margin: 0 0 1.1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th:last-child, td:last-child { overflow-wrap: anywhere; padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.step td:first-child { padding-left: 1.2rem; color: var(--soft); }
.strong td { font-weight: 600; border-top: 2px solid var(--line); }
.way { display: flex; flex-wrap: wrap; gap: .4rem; list-style: none; padding: 0; margin: 0 0 1.4rem; }
.way li { border: 1px solid var(--line); background: var(--paper); border-radius: 1rem; padding: .15rem .8rem; font-size: .88rem; }
.way li + li::before { content: "\\2192"; color: var(--accent); margin-right: .5rem; }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --ground: #fff; }
  main { max-width: none; padding: 0; }
  section { break-inside: avoid; border: 0; padding: 0; }
}
"""
_WAY = ("OS machine", "OVF package", "OS layer", "app layers", "image template", "virtual machine with snapshot")


def render(title: str, summary: str, tables: list[Table]) -> str:
    """The whole page."""
    way = "".join(f"<li>{html.escape(stop)}</li>" for stop in _WAY)
    body = "\n".join(_section(table) for table in tables)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{html.escape(title)}</h1>\n"
        f'<p>{html.escape(summary)}</p>\n<ol class="way">{way}</ol>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _section(table: Table) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "".join(
            f"<{tag}{_class(column, table)}>{html.escape(cell.strip())}</{tag}>" for column, cell in enumerate(cells)
        )

    head = f"<thead><tr>{row(table.headings, 'th')}</tr></thead>" if any(table.headings) else ""
    lines = []
    for number, cells in enumerate(table.rows):
        kind = "strong" if number in table.strong else "step" if cells[0].startswith(" ") else ""
        lines.append(f"<tr{f' class={kind!r}' if kind else ''}>{row(cells, 'td')}</tr>")
    return f"<section>\n<h2>{html.escape(table.title)}</h2>\n<table>{head}<tbody>{''.join(lines)}</tbody></table>\n</section>"


def _class(column: int, table: Table) -> str:
    return ' class="number"' if column in table.numbers else ""
