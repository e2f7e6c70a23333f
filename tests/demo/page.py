# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of the demo as a self-contained HTML page: no scripts, no external resources, light and dark."""

from __future__ import annotations

import base64
import datetime
import pathlib
from html import escape

import yaml

from .report import Chart, Report, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #55637a; --line: #d8dee6; --paper: #fff; --page: #f3f5f8; --accent: #1565a8; --track: #e6ebf1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --soft: #9aa8b8; --line: #2f3945; --paper: #1a212a; --page: #12171d; --accent: #6db3f2; --track: #29323d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
p { margin: 0 0 1.1rem; color: var(--soft); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem 1.1rem; margin: 0 0 1.1rem; overflow-x: auto; }
section p { margin: .6rem 0 0; font-size: .86rem; }
.headline p { color: var(--ink); font-size: 1.15rem; margin: 0 0 .3rem; }
figure { margin: 1.2rem 0; }
figure img { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: .9rem; }
footer { color: var(--soft); font-size: .86rem; margin-top: 1.6rem; }
a { color: var(--accent); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .8rem; margin: 0 0 1.1rem; }
.facts div { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem; }
.facts dt { color: var(--soft); font-size: .86rem; }
.facts dd { margin: 0; font-size: 1.08rem; font-weight: 600; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 0 1.1rem; align-items: start; }
.chart { display: grid; grid-template-columns: max-content 1fr max-content; gap: .35rem .8rem; align-items: center; font-size: .93rem; }
.bar { background: var(--track); border-radius: .2rem; }
.bar span { display: block; height: .75rem; min-width: 2px; border-radius: .2rem; background: var(--accent); }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.step td:first-child { padding-left: 1.2rem; color: var(--soft); }
.strong td { font-weight: 600; border-top: 2px solid var(--line); }
@media (max-width: 40rem) { .charts { grid-template-columns: 1fr; } }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --page: #fff; }
  main { max-width: none; padding: 0; }
  section { break-inside: avoid; }
}
"""
_ROOT = pathlib.Path(__file__).resolve().parents[2]
#: The page is written to .cache/demo; links lead from there into the checkout.
_UP = "../.."
_EXPLANATION = (
    "A layered image is the disk of a Windows VM that is combined from layers instead of being installed: an OS layer with Windows, "
    "and app layers with the files and registry changes of one application each. A new version of an application needs only a new app layer: "
    "the image is combined again, and only the blocks that changed are compressed and stored."
)
_LINKS = (
    ("Your first image", "README.md"),
    ("Configuration", "docs/configuration.md"),
    ("Publishing", "docs/publishing.md"),
    ("Horizon", "docs/horizon.md"),
    ("Glossary", "docs/glossary.md"),
)


def render(report: Report, moment: datetime.datetime | None = None) -> str:
    """Return the complete HTML document; all text of the report is escaped.

    ``moment`` is the time of the demo, by default now.
    """
    moment = moment or datetime.datetime.now().astimezone()
    version = yaml.safe_load((_ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    headline = "".join(f"<p>{escape(sentence)}</p>" for sentence in report.headline)
    facts = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in report.facts)
    charts = "\n".join(_chart(chart) for chart in report.charts)
    tables = "\n".join(_table(table) for table in report.tables)
    links = " · ".join(f'<a href="{_UP}/{path}">{escape(label)}</a>' for label, path in _LINKS)
    title = escape(report.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div class="headline">{headline}</div>
<figure><img src="{_picture()}" alt="OS machine and app layers become a published image and the desktops of Horizon pools"></figure>
<p>{escape(_EXPLANATION)}</p>
<p>{escape(report.summary)}</p>
<dl class="facts">{facts}</dl>
<div class="charts">
{charts}
</div>
{tables}
<footer>strata.layering {escape(version)}, {moment:%Y-%m-%d %H:%M} · {links}</footer>
</main>
</body>
</html>
"""


def _picture() -> str:
    """Return the overview picture as a data URL, so that the page is a single file."""
    content = (_ROOT / "docs" / "images" / "overview.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode('ascii')}"


def _chart(chart: Chart) -> str:
    longest = max((entry.value for entry in chart.bars), default=0) or 1
    bars = "".join(
        f"<span>{escape(entry.label)}</span>"
        f'<div class="bar"><span style="width: {100 * entry.value / longest:.2f}%"></span></div>'
        f'<span class="number">{escape(entry.text)}</span>'
        for entry in chart.bars
    )
    note = f"<p>{escape(chart.note)}</p>" if chart.note else ""
    return f'<section>\n<h2>{escape(chart.title)}</h2>\n<div class="chart">{bars}</div>{note}\n</section>'


def _table(table: Table) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "".join(
            f"<{tag}{_number_class(column, table)}>{escape(cell.strip())}</{tag}>" for column, cell in enumerate(cells)
        )

    head = f"<thead><tr>{row(table.headings, 'th')}</tr></thead>" if any(table.headings) else ""
    lines = []
    for number, cells in enumerate(table.rows):
        kind = "strong" if number in table.strong else "step" if cells[0].startswith(" ") else ""
        row_class = f' class="{kind}"' if kind else ""
        lines.append(f"<tr{row_class}>{row(cells, 'td')}</tr>")
    body = f"<table>{head}<tbody>{''.join(lines)}</tbody></table>"
    return f"<section>\n<h2>{escape(table.title)}</h2>\n{body}\n</section>"


def _number_class(column: int, table: Table) -> str:
    return ' class="number"' if column in table.numbers else ""
