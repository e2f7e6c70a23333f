# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import pathlib
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.plugin_utils import progress_action

_PLUGINS = pathlib.Path(progress_action.__file__).resolve().parents[1]


def test_every_module_with_progress_has_an_action():
    modules = {
        path.stem for path in (_PLUGINS / "modules").glob("*.py") if "run_watched(" in path.read_text(encoding="utf-8")
    }
    actions = {
        path.stem for path in (_PLUGINS / "action").glob("*.py") if "ProgressAction" in path.read_text(encoding="utf-8")
    }
    assert modules == actions
    assert "layered_image_publish" in modules
    for name in modules:
        assert issubclass(
            importlib.import_module(f"{progress_action.__package__.rpartition('.')[0]}.action.{name}").ActionModule,
            progress_action.ProgressAction,
        )


@pytest.mark.parametrize(
    "content", [b"", b"[", b"{}", b"7", b'[1, {}, {"step": 3}]', b"[" + b"0," * 40_000 + b"0]", b"\xff\xfe"]
)
def test_documents_invalid_content_returns_no_documents(content):
    assert progress_action._documents(content) == []


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"templates": ["office", {"name": "lab", "path": "labs/first"}]}, "office, lab"),
        ({"layers": [{"kind": "app", "name": "Tool"}, {"kind": "app", "name": "Editor"}]}, "Tool, Editor"),
        ({"templates": "office"}, "office"),
        ({"everything": True}, "layer_transfer"),
    ],
)
def test_label_has_names_of_templates_and_layers(options, label):
    action = object.__new__(progress_action.ProgressAction)
    action._task = SimpleNamespace(args=options, action="strata.layering.layer_transfer")
    assert action._label() == label
