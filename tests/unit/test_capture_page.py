# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/capture.md and the databases that it lists."""

from __future__ import annotations

import pathlib
import runpy

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.all import NAMES

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def test_page_is_up_to_date():
    tool = runpy.run_path(str(_CHECKOUT / "tests" / "tools" / "databases.py"))
    assert tool["page"]() == tool["PAGE"].read_text(encoding="utf-8"), "run tests/tools/databases.py --write"


def test_page_names_all_databases():
    page = (_CHECKOUT / "docs" / "capture.md").read_text(encoding="utf-8")
    assert {name for name in NAMES if f"`{name}`" not in page} == set()
