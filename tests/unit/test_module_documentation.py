# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-doc shows of the modules."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest
import yaml

_FOLDER = pathlib.Path(__file__).resolve().parents[2] / "plugins" / "modules"
_MODULES = sorted(path.stem for path in _FOLDER.glob("*.py"))
#: The width that `ansible-doc -l` leaves for the description on a terminal with 80 columns.
_VISIBLE = 38
#: Modules whose returned objects are documented field by field.
_DOCUMENTED = [*(name for name in _MODULES if name.endswith("_info")), "image_template", "repository"]
#: Objects whose fields depend on the data.
_FREE = {"details", "layers", "source", "windows", "scripts", "script", "custom_attributes", "timings", "bytes"}
_FREE |= {"results", "error", "pending", "status"}
#: ansible-test refuses the names keys and values in the documentation of returned objects.
_FREE.add("changes")


def _documents(module: str) -> dict:
    tree = ast.parse((_FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    return {
        node.targets[0].id: yaml.safe_load(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def _without_fields(values: dict, prefix: str = "") -> Iterator[str]:
    for name, value in (values or {}).items():
        if "contains" in value:
            yield from _without_fields(value["contains"], f"{prefix}{name}.")
        elif "dict" in (value.get("type"), value.get("elements")) and name not in _FREE:
            yield prefix + name


@pytest.mark.parametrize("module", _MODULES)
def test_short_description_is_visible_in_the_list_of_modules(module):
    assert len(_documents(module)["DOCUMENTATION"]["short_description"]) <= _VISIBLE


@pytest.mark.parametrize("module", _DOCUMENTED)
def test_returned_objects_document_their_fields(module):
    assert list(_without_fields(_documents(module)["RETURN"])) == []
