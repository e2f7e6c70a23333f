# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work side by side in processes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, StrataError
from ansible_collections.strata.layering.plugins.module_utils.common.progress import silent
from ansible_collections.strata.layering.plugins.module_utils.common.worker_pool import run_side_by_side


def test_results_keep_their_names_and_order():
    found = run_side_by_side({name: lambda progress, name=name: (name, os.getpid()) for name in "cab"}, 2, silent)
    assert list(found) == ["c", "a", "b"] and all(found[name][0] == name for name in found)
    assert len({pid for unused, pid in found.values()} | {os.getpid()}) == 4


def test_a_single_piece_needs_no_process():
    assert run_side_by_side({"one": lambda progress: os.getpid()}, 4, silent) == {"one": os.getpid()}


def test_the_bound_is_kept(tmp_path):
    def work(progress) -> int:
        mark = tmp_path / str(os.getpid())
        mark.touch()
        time.sleep(0.3)
        most = len(list(tmp_path.iterdir()))
        time.sleep(0.1)
        mark.unlink()
        return most

    found = run_side_by_side({str(number): work for number in range(5)}, 2, silent)
    assert max(found.values()) == 2


def test_errors_and_crashes_stay_with_their_own():
    def crash(progress):
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(progress):
        raise Conflict("It is taken.", code="test.taken", hint="Wait.", who="me")

    found = run_side_by_side({"good": lambda progress: 1, "crash": crash, "fail": fail}, 3, silent)
    assert found["good"] == 1
    assert isinstance(found["crash"], StrataError) and "exit code -9" in found["crash"].message
    assert isinstance(found["fail"], Conflict) and (found["fail"].code, found["fail"].details) == (
        "test.taken",
        {"who": "me"},
    )


def test_progress_carries_the_name():
    told = []
    run_side_by_side(
        {name: lambda progress: progress("upload", 1, 2) for name in "ab"}, 2, lambda *values: told.append(values)
    )
    assert sorted(told) == [("a: upload", 1, 2), ("b: upload", 1, 2)]
    told.clear()
    run_side_by_side({"a": lambda progress: progress("upload", 1, 2)}, 2, lambda *values: told.append(values))
    assert told == [("upload", 1, 2)]


def test_when_the_caller_stops_all_unwind(tmp_path):
    def work(progress):
        mark = tmp_path / str(os.getpid())
        try:
            mark.touch()
            progress("begun", 0, None)
            time.sleep(60)
        finally:
            mark.unlink(missing_ok=True)

    class Stop(Exception):
        pass

    def watcher(*unused):
        if len(list(tmp_path.iterdir())) == 2:
            raise Stop

    with pytest.raises(Stop):
        run_side_by_side({"a": work, "b": work}, 2, watcher)
    assert list(tmp_path.iterdir()) == []
