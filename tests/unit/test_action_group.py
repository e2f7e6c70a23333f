# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action group must name every module: a module outside it would not get the defaults that a playbook sets for the group."""

from __future__ import annotations

import pathlib

import yaml

COLLECTION = pathlib.Path(__file__).parents[2]


def test_action_group_names_every_module_and_no_other():
    group = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"][
        "layering"
    ]
    modules = sorted(path.stem for path in (COLLECTION / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
    assert group == modules
