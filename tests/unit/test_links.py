# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relative links of the documentation lead to files and headings that exist."""

from __future__ import annotations

import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PAGES = sorted(
    [
        *_ROOT.glob("*.md"),
        *(_ROOT / "docs").rglob("*.md"),
        *(_ROOT / "roles").glob("*/README.md"),
        *(_ROOT / "tests").glob("*/README.md"),
    ]
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _text(page: pathlib.Path) -> str:
    """Return the page without code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def _anchors(page: pathlib.Path) -> set[str]:
    """Return the anchors of the headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def _broken(page: pathlib.Path) -> list[str]:
    broken = []
    for link in _LINK.findall(_text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _hash, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or anchor and anchor not in _anchors(target):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_page_links_lead_to_existing_targets(page):
    assert _broken(page) == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A Title: one\n[a](none.md) [b](#a-title-one) [c](page.md#none) [d](https://example.com/x)\n")
    assert _broken(page) == ["none.md", "page.md#none"]
