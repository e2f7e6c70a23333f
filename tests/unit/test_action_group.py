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


def _connects_to_horizon(module: str) -> bool:
    """Return whether a module has the options of a Connection Server, of which vCenter has no domain."""
    return {"hostname", "domain"} <= _options(module)


def test_group_layering_names_every_module_that_does_not_connect_to_horizon():
    assert _GROUPS["layering"] == [module for module in _MODULES if not _connects_to_horizon(module)]


def test_group_vsphere_names_modules_with_a_vcenter_connection():
    expected = [module for module in _MODULES if "hostname" in _options(module) and not _connects_to_horizon(module)]
    assert _GROUPS["vsphere"] == expected


def test_group_horizon_names_modules_with_a_connection_to_horizon():
    assert _GROUPS["horizon"] == [module for module in _MODULES if _connects_to_horizon(module)]


def test_defaults_for_vcenter_do_not_reach_horizon():
    assert set(_GROUPS["horizon"]).isdisjoint(_GROUPS["layering"] + _GROUPS["vsphere"])
