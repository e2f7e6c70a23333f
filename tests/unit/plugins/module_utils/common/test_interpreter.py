# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An old Python is reported as such by every module."""

from __future__ import annotations

import ast
import json
import os
import pathlib
import shutil
import subprocess

import ansible
import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import interpreter
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unsupported
from ansible_collections.strata.layering.tests.support.modules import attempt

_ROOT = pathlib.Path(__file__).resolve().parents[5]
#: Without modules that only document an action plugin.
_MODULES = sorted(
    path.stem
    for path in (_ROOT / "plugins" / "modules").glob("*.py")
    if "def main(" in path.read_text(encoding="utf-8")
)
#: The oldest Python on which ansible-core runs modules.
_OLDEST = (3, 8)


def _imported_first(path: pathlib.Path) -> set[pathlib.Path]:
    """Return the files of the collection that a file imports when it is imported itself, with the file."""
    found = {path}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            target = folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
            assert target.exists(), (path, node.module)
            found |= _imported_first(target)
    return found


@pytest.mark.parametrize("module", _MODULES)
def test_module_imports_first_only_files_for_old_pythons(module):
    files = _imported_first(_ROOT / "plugins" / "modules" / f"{module}.py")
    names = {path.relative_to(_ROOT / "plugins").as_posix() for path in files}
    common = (
        "arguments",
        "composer_paths",
        "errors",
        "interpreter",
        "module_runner",
        "option_values",
        "remote_arguments",
    )
    assert names - {f"module_utils/common/{name}.py" for name in common} == {f"modules/{module}.py"}
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=_OLDEST)


@pytest.mark.parametrize("module", _MODULES)
def test_old_python_is_reported_before_options_and_without_them(module, monkeypatch):
    monkeypatch.setattr(interpreter, "MINIMUM", (99, 1))
    result = attempt(module, no_option="x", password="secret", file_share_password="secret")
    assert (result["failed"], result["code"]) == (True, "common.python_version")
    assert result["details"]["needed"] == "99.1"
    assert "ansible_python_interpreter" in result["hint"]
    assert "secret" not in json.dumps(result)


@pytest.mark.parametrize("installed", ["/usr/local/bin/python3.12", None])
def test_hint_for_old_python_names_installed_python(installed, monkeypatch):
    monkeypatch.setattr(interpreter.os, "access", lambda path, mode: path == installed)
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 9, 18, "final", 0))
    with pytest.raises(Unsupported) as caught:
        interpreter.require_python()
    assert caught.value.code == "common.python_version"
    assert (installed or "python3.12") in caught.value.hint


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_module_run_by_old_python_reports_it(version, tmp_path):
    python = shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip(f"there is no Python {version}")
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"name": "Tool"}}))
    # The folder of ansible alone: the other libraries are those of a newer Python.
    (tmp_path / "ansible").symlink_to(os.path.dirname(ansible.__file__))
    folders = [os.fspath(tmp_path), os.fspath(_ROOT / ".build" / "collections")]
    done = subprocess.run(
        [python, "-m", "ansible_collections.strata.layering.plugins.modules.app_layer", os.fspath(arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout or done.stderr)["code"] == "common.python_version", done.stderr
