# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action groups name exactly the modules that accept the defaults that a playbook sets for the group."""

from __future__ import annotations

import pathlib

import yaml

from ansible_collections.strata.layering.tests.support.modules import specification_of

_COLLECTION = pathlib.Path(__file__).parents[2]
#: Without modules that only document an action plugin.
_MODULES = sorted(
    path.stem
    for path in (_COLLECTION / "plugins" / "modules").glob("[!_]*.py")
    if "def main(" in path.read_text(encoding="utf-8")
)
_GROUPS = yaml.safe_load((_COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]


def _options(module: str) -> set[str]:
    return set(specification_of(module)["argument_spec"])


def test_group_layering_names_every_module():
    assert _GROUPS["layering"] == _MODULES


def test_group_vsphere_names_modules_with_a_vcenter_connection():
    assert _GROUPS["vsphere"] == [module for module in _MODULES if "hostname" in _options(module)]
