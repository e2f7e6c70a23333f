# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report page of the demo: content, escaping, and no external resources."""

from __future__ import annotations

import datetime
import html.parser
import pathlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.strata.layering.tests.demo import page, text
from ansible_collections.strata.layering.tests.demo.report import Bar, Chart, Report, Table, seconds, size

_HOSTILE = "<script>alert('x')</script> & \"Maps\""
_EMPTY = {"br", "col", "hr", "img", "input", "link", "meta"}


class _Reader(html.parser.HTMLParser):
    """Collect tags, attributes and text, and check that all elements are closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def report() -> Report:
    return Report(
        title=f"Demo {_HOSTILE}",
        summary=f"Summary {_HOSTILE}",
        headline=[f"Headline {_HOSTILE}"],
        facts=[("Image template", f"office {_HOSTILE}"), ("Snapshot", "strata-1")],
        charts=[
            Chart("Bytes", [Bar("all", 200, "200 B"), Bar(f"some {_HOSTILE}", 50, "50 B")], note=f"Note {_HOSTILE}"),
            Chart("Nothing", [Bar("none", 0, "0 B")]),
        ],
        tables=[
            Table(
                "Layers", ["layer", "stored"], [[_HOSTILE, "5 B"], ["  step", "6 B"]], frozenset({1}), frozenset({0})
            ),
            Table("Locations", ["", ""], [["folder", "DC0/vm"]]),
        ],
    )


def _read(document: str) -> _Reader:
    reader = _Reader()
    reader.feed(document)
    reader.close()
    return reader


def test_page_elements_are_closed(report):
    assert _read(page.render(report)).open == []


def test_page_text_is_escaped(report):
    document = page.render(report)
    reader = _read(document)
    assert "script" not in reader.tags
    assert "<script" not in document
    shown = [piece for piece in reader.text if _HOSTILE in piece]
    # Title twice, headline, summary, fact, label of a bar, note of a chart, cell of a table.
    assert len(shown) == 8


def test_page_has_no_external_resources(report):
    document = page.render(report)
    reader = _read(document)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert not [name for name, _value in reader.attributes if name.startswith("on")]
    sources = [value for name, value in reader.attributes if name == "src"]
    assert [source.split(",")[0] for source in sources] == ["data:image/svg+xml;base64"]
    assert not re.search(r"url\(|@import|https?:", document)


def test_page_links_lead_to_pages_of_the_project(report):
    links = [value for name, value in _read(page.render(report)).attributes if name == "href"]
    root = pathlib.Path(page.__file__).resolve().parents[2]
    missing = [link for link in links if not (root / ".cache" / "demo" / link).resolve().is_file()]
    assert len(links) >= 4
    assert missing == []


def test_page_shows_version_and_time(report):
    moment = datetime.datetime(2026, 11, 30, 14, 5)
    text_of_page = "".join(_read(page.render(report, moment)).text)
    assert "2026-11-30 14:05" in text_of_page
    assert re.search(r"strata\.layering \d+\.\d+\.\d+", text_of_page)


def test_page_result_is_above_the_picture(report):
    document = page.render(report)
    assert 0 < document.index("Headline") < document.index("<img") < document.index("Summary")


def test_page_bars_are_relative_to_the_longest(report):
    styles = [value for name, value in _read(page.render(report)).attributes if name == "style"]
    assert styles == ["width: 100.00%", "width: 25.00%", "width: 0.00%"]


def test_page_number_columns_are_aligned(report):
    document = page.render(report)
    assert '<th class="number">stored</th>' in document
    assert '<td class="number">5 B</td>' in document


def test_page_rows_have_their_class(report):
    document = page.render(report)
    assert document.count('<tr class="strong">') == 1
    assert document.count('<tr class="step">') == 1


def test_page_table_without_headings_has_no_head(report):
    assert page.render(report).count("<thead>") == 1


def test_page_supports_light_and_dark(report):
    document = page.render(report)
    assert "prefers-color-scheme: dark" in document
    assert "color-scheme: light dark" in document


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3e9, "3.00 GB")],
)
def test_size_has_a_decimal_unit(count, expected):
    assert size(count) == expected


def test_seconds_have_a_unit():
    assert seconds(1.26) == "1.3 s"
    assert seconds(None) == ""


def test_terminal_table_wraps_the_widest_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    table = Table("Long", ["name", "content"], [["a", "word " * 30]], frozenset())
    lines = text.render(table).splitlines()
    assert max(len(line) for line in lines) <= 60
    assert sum(line.count("word") for line in lines) == 30


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_page_is_displayed_by_a_browser(report, tmp_path):
    source, picture = tmp_path / "index.html", tmp_path / "page.png"
    source.write_text(page.render(report), encoding="utf-8")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    subprocess.run([*command, f"--screenshot={picture}", source.as_uri()], check=True, capture_output=True, timeout=120)
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = subprocess.run(
        [*command, "--dump-dom", source.as_uri()], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert "<script" not in shown
    assert "office &lt;script&gt;" in shown
