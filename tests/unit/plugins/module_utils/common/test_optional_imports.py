# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Effects of importing the optional libraries."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import optional_imports
from ansible_collections.strata.layering.plugins.module_utils.common.errors import MissingLibrary

CODE = f"""
import json, os
from {optional_imports.__name__} import np
print(json.dumps([int(np.arange(4).sum()), len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS")]))
"""


@pytest.mark.parametrize("threads", [None, "1"])
def test_numpy_import_starts_no_threads_and_keeps_the_environment(threads):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if threads:
        environment["OPENBLAS_NUM_THREADS"] = threads
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [6, 1, threads]


def test_missing_library_raises_at_its_first_use():
    library = optional_imports._optional("a_module_that_does_not_exist", "its-package")
    with pytest.raises(MissingLibrary) as caught:
        library.function()
    assert caught.value.code == "common.missing_library"
    assert caught.value.details == {"library": "its-package", "libraries": ["its-package"]}


def test_missing_libraries_are_named_together(monkeypatch):
    installed = importlib.util.find_spec
    absent = {"isal", "zstandard"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else installed(name))
    with pytest.raises(MissingLibrary) as caught:
        optional_imports._optional("a_module_that_does_not_exist", "numpy").function()
    assert caught.value.details["libraries"] == ["isal", "numpy", "zstandard"]
    assert "'isal>=1.7.0' 'numpy>=1.26' 'zstandard>=0.22'" in caught.value.hint


@pytest.mark.parametrize("managed", [True, False])
def test_missing_library_of_managed_python_names_composer_virtualenv(monkeypatch, managed):
    monkeypatch.setattr(optional_imports, "externally_managed", lambda: managed)
    with pytest.raises(MissingLibrary) as caught:
        optional_imports._optional("a_module_that_does_not_exist", "its-package").function()
    assert ("composer_virtualenv" in caught.value.hint) is managed
    assert ("PEP 668" in caught.value.hint) is managed


def test_python_is_externally_managed_if_its_marker_exists(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: os.fspath(tmp_path))
    assert not optional_imports.externally_managed()
    (tmp_path / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
    assert optional_imports.externally_managed()
    monkeypatch.setattr(sys, "prefix", "/srv/venv")
    assert not optional_imports.externally_managed()


def test_requirements_are_those_of_the_collection():
    lines = (pathlib.Path(__file__).parents[5] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    assert sorted(optional_imports.REQUIREMENTS.values()) == sorted(required)
    assert all(importlib.util.find_spec(name) for name in optional_imports.REQUIREMENTS)
