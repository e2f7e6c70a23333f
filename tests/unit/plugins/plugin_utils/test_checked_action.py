# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import importlib
import pathlib
from unittest import mock

import pytest
from ansible.plugins.action.normal import ActionModule as NormalAction

from ansible_collections.strata.layering.plugins.plugin_utils.checked_action import CheckedAction

_PLUGINS = pathlib.Path(__file__).resolve().parents[4] / "plugins"
_DATE = datetime.date(2026, 11, 30)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"version": _DATE}, "version"),
        ({"version": datetime.datetime(2026, 11, 30, 10)}, "version"),
        ({"os_layer": {"name": "W", "version": _DATE}}, "os_layer.version"),
        ({"app_layers": [{"version": "1"}, {"version": _DATE}]}, "app_layers[1].version"),
    ],
)
def test_date_as_version_is_refused_before_the_module_runs(options, path):
    action = CheckedAction.__new__(CheckedAction)
    action._task = mock.Mock(args=options)
    with mock.patch.object(NormalAction, "run", side_effect=AssertionError):
        result = action.run()
    assert (result["failed"], result["code"]) == (True, "common.option_not_text")
    assert result["details"] == {"option": path}


def test_text_as_version_runs_the_module():
    action = CheckedAction.__new__(CheckedAction)
    action._task = mock.Mock(args={"version": "2026-11-30", "app_layers": [{"version": 5}], "comment": _DATE})
    with mock.patch.object(NormalAction, "run", return_value={"changed": True}):
        assert action.run() == {"changed": True}


def test_every_module_with_versions_has_a_checking_action():
    versions = ("layer_arguments(", "layer_version_options(", "packaging_arguments(")
    for path in (_PLUGINS / "modules").glob("*.py"):
        if any(name in path.read_text(encoding="utf-8") for name in versions):
            action = importlib.import_module(f"ansible_collections.strata.layering.plugins.action.{path.stem}")
            assert issubclass(action.ActionModule, CheckedAction), path.stem
