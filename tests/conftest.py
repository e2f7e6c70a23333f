# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for all tests: the examples of property tests, the markers, and how two workers share the tests.

Markers are set here by folder and by fixture, so that a new test has them without its author's help:

* ``unit``: the test is below tests/unit.
* ``simulator``: the test uses the vSphere simulator.
* ``wine``: the test starts wine.
* ``slow``: the test, or most of its file, takes more than about a second; ``make test-fast`` leaves it out. A slow
  test that is not listed below has the marker in its source.
"""

from __future__ import annotations

import os
import pathlib
import re

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "repeatable")
settings.load_profile(_PROFILE)
if _PROFILE == "repeatable" and hasattr(providers, "_get_local_constants"):
    # Hypothesis also tries the constants in the sources of all modules that are loaded, so that the examples of a
    # test depend on the tests that ran before it in the same process. Without these constants they are always the same.
    setattr(providers, "_get_local_constants", lambda: providers._local_constants)  # noqa: B010

_TESTS = pathlib.Path(__file__).resolve().parent
_ENGINE = "unit/plugins/module_utils"
_MARKED_FOLDERS = {
    "unit": ("unit",),
    "simulator": ("integration", "unit/support", f"{_ENGINE}/vsphere"),
    "wine": ("acceptance",),
    "slow": (
        "acceptance",
        "integration",
        "unit/benchmark",
        "unit/demo",
        "unit/sample",
        "unit/support",
        f"{_ENGINE}/capture/test_associativity.py",
        f"{_ENGINE}/capture/test_capture_round_trip.py",
        f"{_ENGINE}/images/composing/test_compose.py",
        f"{_ENGINE}/images/composing/test_grow.py",
        f"{_ENGINE}/images/composing/test_incremental.py",
        f"{_ENGINE}/images/test_os_import.py",
        f"{_ENGINE}/layers/test_archive.py",
        f"{_ENGINE}/ntfs/test_hostile.py",
        f"{_ENGINE}/ntfs/test_resize.py",
        f"{_ENGINE}/selftest/test_run.py",
        f"{_ENGINE}/winregistry/test_round_trip.py",
    ),
}
#: Tests with these parts in their name read all of a large file.
_SLOW_NAME = re.compile("real_hive|beyond_two_tib")
_MARKED_FIXTURES = {
    "simulator": {"simulator", "shared_simulator", "host_simulator", "vcenter"},
    "wine": {"lab", "wine_machine"},
    "slow": {"windows_image"},
}
#: Folders and files whose tests one worker runs: their session fixtures take minutes, or they look at files that
#: every playbook leaves in /tmp while it runs.
_TOGETHER = {
    "acceptance": "acceptance",
    "integration/action": "playbooks",
    "integration/modules/test_file_share.py": "playbooks",
    "integration/modules/test_os_layer_role.py": "playbooks",
    "integration/modules/test_packaging_role.py": "playbooks",
    "integration/modules/test_publish_role.py": "playbooks",
}
#: Files whose tests share nothing that is expensive to make, and are distributed test by test.
_APART = ("integration/faults/test_faults.py",)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the markers."""
    for item in items:
        path = item.path.relative_to(_TESTS).as_posix()
        fixtures = set(getattr(item, "fixturenames", ()))
        for marker, folders in _MARKED_FOLDERS.items():
            if any(_is_below(path, folder) for folder in folders) or fixtures & _MARKED_FIXTURES.get(marker, set()):
                item.add_marker(marker)
        if _SLOW_NAME.search(item.name):
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Distribute the tests file by file, except as ``_TOGETHER`` and ``_APART`` say."""
    from xdist.scheduler import LoadScopeScheduling  # pylint: disable=import-outside-toplevel

    class Scheduling(LoadScopeScheduling):
        """Assigns groups of tests to the workers, those with the most tests first."""

        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0].removeprefix("tests/")
            if path in _APART:
                return nodeid
            return next((group for folder, group in _TOGETHER.items() if _is_below(path, folder)), path)

    return Scheduling(config, log)
