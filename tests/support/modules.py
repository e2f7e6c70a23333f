# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules in tests as Ansible does: options in, one JSON document out, exit code."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import pathlib
from collections.abc import Callable
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

_MODULES = "ansible_collections.strata.layering.plugins.modules."
#: Folders that may change although the state of the repository does not.
_TRANSIENT = ("locks", "pins", "tmp")


def hosted_modules() -> list[str]:
    """Return the names of the modules that run on a host; others only document an action of the controller."""
    folder = pathlib.Path(__file__).parents[2] / "plugins" / "modules"
    return sorted(path.stem for path in folder.glob("*.py") if "def main(" in path.read_text(encoding="utf-8"))


class _Created(Exception):
    """Carries the arguments of LayeringModule out of a module."""


def specification_of(module: str) -> dict:
    """Return the arguments with which a module creates its LayeringModule, such as ``argument_spec``."""

    def create(**arguments: object) -> None:
        raise _Created(arguments)

    imported = importlib.import_module(_MODULES + module)
    with mock.patch.object(imported, "LayeringModule", create):
        try:
            imported.main()
        except _Created as created:
            return created.args[0]
    raise AssertionError(f"{module} did not create a LayeringModule")


class Failed(AssertionError):
    """A module failed unexpectedly; ``result`` is its result."""

    def __init__(self, name: str, result: dict) -> None:
        super().__init__(f"{name}: {result.get('msg')}")
        self.result = result


def run(module: str, /, *, check: bool = False, diff: bool = False, **options) -> dict:
    """Run a module and return its result; raise Failed if it fails."""
    result = attempt(module, check=check, diff=diff, **options)
    if result.get("failed"):
        raise Failed(module, result)
    return result


def attempt(module: str, /, *, check: bool = False, diff: bool = False, **options) -> dict:
    """Run a module and return its result, also if it fails."""
    imported = importlib.import_module(_MODULES + module)
    arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff)
    output = io.StringIO()
    # Each module is a separate process in Ansible: warnings of earlier runs must not appear.
    warnings._global_warnings.clear()
    # If a test has loaded controller code of Ansible, warnings would go to the terminal.
    with (
        mock.patch.object(_internal, "is_controller", False),
        patch_module_args(arguments),
        contextlib.redirect_stdout(output),
    ):
        with contextlib.suppress(SystemExit):
            imported.main()
    return json.loads(output.getvalue().strip().splitlines()[-1])


def fails(module: str, code: str, /, **options) -> dict:
    """Run a module, check that it fails with the error code ``code``, and return the result."""
    result = attempt(module, **options)
    assert result.get("failed"), f"{module} succeeded: {result}"
    assert result.get("code") == code, f"{module} failed with {result.get('code')}: {result['msg']}"
    assert result["msg"].rstrip().endswith((".", ")")), result["msg"]
    return result


def state_of(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return the digest of every file below a folder by path; locks and temporary files of a repository are left out."""
    digests = {}
    root = os.fspath(folder)
    for path, folders, files in os.walk(root):
        if path == root:
            folders[:] = [name for name in folders if name not in _TRANSIENT]
        for name in files:
            full = os.path.join(path, name)
            with open(full, "rb") as stream:
                digests[os.path.relpath(full, root)] = hashlib.sha256(stream.read()).hexdigest()
    return digests


def converges(module: str, snapshot: Callable[[], object], /, **options) -> dict:
    """Check that a module supports check mode, diff mode and idempotence, and return the result of its change.

    ``options`` request a change; ``snapshot`` returns the state that the module changes. In check mode the
    module reports a change and a difference, but changes nothing. Then it makes the change, with the same
    difference. Then it reports no change, with and without check mode.
    """
    before = snapshot()
    planned = run(module, check=True, diff=True, **options)
    assert planned["changed"] is True
    assert planned["diff"]["before"] != planned["diff"]["after"]
    assert snapshot() == before, "check mode changed something"
    done = run(module, diff=True, **options)
    assert done["changed"] is True
    assert done["diff"]["before"] == planned["diff"]["before"]
    assert done["diff"]["after"].keys() == planned["diff"]["after"].keys()
    after = snapshot()
    assert after != before, "nothing was changed"
    for check in (True, False):
        again = run(module, check=check, diff=True, **options)
        assert again["changed"] is False, again
        difference = again.get("diff", {"before": None, "after": None})
        assert difference["before"] == difference["after"]
    assert snapshot() == after, "a second run changed something"
    return done
