# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running modules in tests as Ansible does: options in, one JSON document out, exit code."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
from collections.abc import Callable
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

_MODULES = "ansible_collections.strata.layering.plugins.modules."
#: What may differ between two looks at a repository that nobody changed.
_PASSING = ("locks", "pins", "tmp")


class Failed(AssertionError):
    """A module that was expected to succeed did not; ``result`` is what it returned."""

    def __init__(self, name: str, result: dict) -> None:
        super().__init__(f"{name}: {result.get('msg')}")
        self.result = result


def run(module: str, /, *, check: bool = False, diff: bool = False, **options) -> dict:
    """Run a module and return its result; Failed when it failed."""
    result = attempt(module, check=check, diff=diff, **options)
    if result.get("failed"):
        raise Failed(module, result)
    return result


def attempt(module: str, /, *, check: bool = False, diff: bool = False, **options) -> dict:
    """Run a module and return its result, whatever it is."""
    imported = importlib.import_module(_MODULES + module)
    arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff)
    output = io.StringIO()
    # A module is a process of its own and warns of nothing that another one met.
    warnings._global_warnings.clear()
    # Where a test has loaded what runs on Ansible's side, warnings would go to the terminal.
    with (
        mock.patch.object(_internal, "is_controller", False),
        patch_module_args(arguments),
        contextlib.redirect_stdout(output),
    ):
        try:
            imported.main()
        except SystemExit:
            pass
    return json.loads(output.getvalue().strip().splitlines()[-1])


def fails(module: str, code: str, /, **options) -> dict:
    """Run a module that must fail with an error of ``code``; returns the result."""
    result = attempt(module, **options)
    assert result.get("failed"), f"{module} succeeded: {result}"
    assert result.get("code") == code, f"{module} failed with {result.get('code')}: {result['msg']}"
    assert result["msg"].rstrip().endswith((".", ")")), result["msg"]
    return result


def state_of(folder: str | os.PathLike) -> dict[str, str]:
    """Digest of every file below a folder by path; of a repository, without locks and what passes."""
    found = {}
    for path, folders, files in os.walk(folder):
        if path == os.fspath(folder):
            folders[:] = [name for name in folders if name not in _PASSING]
        for name in files:
            full = os.path.join(path, name)
            with open(full, "rb") as stream:
                found[os.path.relpath(full, folder)] = hashlib.sha256(stream.read()).hexdigest()
    return found


def converges(module: str, look: Callable[[], object], /, **options) -> dict:
    """Check what every module promises, for a change that ``options`` ask for; returns the result of the change.

    In check mode it tells that it would change something, shows a difference and changes nothing
    that ``look`` sees; then it makes the change, with the same difference; then there is nothing
    left to do, in check mode or not.
    """
    before = look()
    planned = run(module, check=True, diff=True, **options)
    assert planned["changed"] is True
    assert planned["diff"]["before"] != planned["diff"]["after"]
    assert look() == before, "check mode changed something"
    done = run(module, diff=True, **options)
    assert done["changed"] is True
    assert done["diff"]["before"] == planned["diff"]["before"]
    assert done["diff"]["after"].keys() == planned["diff"]["after"].keys()
    after = look()
    assert after != before, "nothing was changed"
    for check in (True, False):
        again = run(module, check=check, diff=True, **options)
        assert again["changed"] is False, again
        assert (
            again.get("diff", {"before": 0, "after": 0})["before"]
            == again.get("diff", {"before": 0, "after": 0})["after"]
        )
    assert look() == after, "a second run changed something"
    return done
