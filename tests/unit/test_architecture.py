# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of the engine import each other as docs/architecture.md says; file names; imports without Ansible."""

from __future__ import annotations

import ast
import functools
import os
import pathlib
import re
import subprocess
import sys
import textwrap
from collections import defaultdict

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_ENGINE = _ROOT / "plugins" / "module_utils"
_PAGE = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_PACKAGES = sorted(path.name for path in _ENGINE.iterdir() if path.is_dir() and any(path.rglob("*.py")))
#: Where the modules meet the engine: the only files of the engine that import Ansible.
_ANSIBLE = {"common/arguments.py", "common/module_runner.py", "common/remote_arguments.py"}


def documented_levels() -> dict[str, int]:
    """Return the level of each package in the page's table."""
    return {match[2]: int(match[1]) for match in re.finditer(r"^\| (\d+) \| (\w+) \|", _PAGE, re.MULTILINE)}


def documented_imports() -> dict[str, set[str]]:
    """Return the packages that each package imports, as the page lists them."""
    lines = re.finditer(r"^(\w+): imports(?: (.+))?$", _PAGE, re.MULTILINE)
    return {match[1]: set((match[2] or "").split(", ")) - {""} for match in lines}


def imports_of(path: pathlib.Path) -> list[tuple[int, str]]:
    """Return line and package of each import of another package of the engine."""
    found = []
    package, *below = path.relative_to(_ENGINE).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1 + len(below):
            names = [node.module.partition(".")[0]] if node.module else [name.name for name in node.names]
            found += [(node.lineno, name) for name in names if name != package]
    return found


@functools.cache
def actual_imports() -> dict[str, dict[str, str]]:
    """Return for each package the packages that it imports, each with the file and line of an import."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for package in _PACKAGES:
        for path in sorted((_ENGINE / package).rglob("*.py")):
            for line, imported in imports_of(path):
                found[package].setdefault(imported, f"{path.relative_to(_ROOT)}:{line}")
    return found


def test_page_lists_every_package():
    assert sorted(documented_levels()) == _PACKAGES
    assert sorted(documented_imports()) == _PACKAGES


@pytest.mark.parametrize("package", _PACKAGES)
def test_package_imports_only_packages_of_lower_levels(package):
    levels = documented_levels()
    sources = actual_imports()[package]
    assert {imported: source for imported, source in sources.items() if levels[imported] >= levels[package]} == {}


@pytest.mark.parametrize("package", _PACKAGES)
def test_package_imports_only_listed_packages(package):
    documented, actual = documented_imports()[package], actual_imports()[package]
    assert {imported: source for imported, source in actual.items() if imported not in documented} == {}
    assert documented - actual.keys() == set()


def test_engine_imports_without_ansible():
    modules = [path.relative_to(_ENGINE).as_posix() for path in sorted(_ENGINE.rglob("*.py"))]
    names = [
        module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for module in modules
        if module not in _ANSIBLE and "/" in module
    ]
    program = textwrap.dedent("""
        import importlib, sys

        class NoAnsible:
            def find_spec(self, name, path=None, target=None):
                if name == "ansible" or name.startswith("ansible."):
                    raise ImportError(f"{name} was imported")

        sys.meta_path.insert(0, NoAnsible())
        for name in sys.argv[1:]:
            importlib.import_module(f"ansible_collections.strata.layering.plugins.module_utils.{name}")
        print(len(sys.argv) - 1)
        """)
    environment = os.environ | {"PYTHONPATH": os.fspath(_ROOT / ".build" / "collections")}
    result = subprocess.run(
        [sys.executable, "-c", program, *names], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.strip() == str(len(names))
    assert len(names) > 100


@pytest.mark.parametrize("package", _PACKAGES)
def test_params_are_read_in_operations_only(package):
    """Below the operations nothing takes a module's parameters; in them only ``from_params`` and its helpers do."""
    if package == "operations":
        return
    found = [
        f"{path.relative_to(_ROOT)}:{node.lineno}"
        for path in sorted((_ENGINE / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.arg) and node.arg == "params") or (isinstance(node, ast.Name) and node.id == "params")
    ]
    assert found == []


def test_no_file_is_named_like_a_module_of_the_standard_library():
    """pylint of ansible-test reads the files as top-level modules and would take such a file for Python's own."""
    names = {path.stem for path in _ENGINE.rglob("*.py")}
    assert names & sys.stdlib_module_names == set()
