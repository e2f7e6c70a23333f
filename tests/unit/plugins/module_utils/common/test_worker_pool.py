# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that run at the same time in their own processes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, StrataError
from ansible_collections.strata.layering.plugins.module_utils.common.progress import silent
from ansible_collections.strata.layering.plugins.module_utils.common.worker_pool import run_jobs


def test_jobs_return_results_by_name_in_order():
    results = run_jobs({name: lambda progress, name=name: (name, os.getpid()) for name in "cab"}, 2, silent)
    assert list(results) == ["c", "a", "b"]
    assert [name for name, _pid in results.values()] == ["c", "a", "b"]
    assert len({pid for _name, pid in results.values()} | {os.getpid()}) == 4


def test_single_job_runs_in_this_process():
    assert run_jobs({"a": lambda progress: os.getpid()}, 4, silent) == {"a": os.getpid()}


def test_jobs_do_not_exceed_the_limit(tmp_path):
    def work(progress) -> int:
        mark = tmp_path / str(os.getpid())
        mark.touch()
        time.sleep(0.3)
        most = len(list(tmp_path.iterdir()))
        time.sleep(0.1)
        mark.unlink()
        return most

    results = run_jobs({str(number): work for number in range(5)}, 2, silent)
    assert max(results.values()) == 2


def test_job_that_fails_or_crashes_does_not_affect_the_others():
    def crash(progress):
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(progress):
        raise Conflict("It is taken.", code="test.taken", hint="Wait.", who="me")

    results = run_jobs({"good": lambda progress: 1, "crash": crash, "fail": fail}, 3, silent)
    assert results["good"] == 1
    assert isinstance(results["crash"], StrataError)
    assert results["crash"].code == "common.worker_crashed"
    assert "exit code -9" in results["crash"].message
    assert isinstance(results["fail"], Conflict)
    assert results["fail"].code == "test.taken"
    assert results["fail"].details == {"who": "me"}


def test_progress_of_several_jobs_carries_their_names():
    seen = []
    run_jobs({name: lambda progress: progress("upload", 1, 2) for name in "ab"}, 2, lambda *values: seen.append(values))
    assert sorted(seen) == [("a: upload", 1, 2), ("b: upload", 1, 2)]


def test_progress_of_a_single_job_carries_no_name():
    seen = []
    run_jobs({"a": lambda progress: progress("upload", 1, 2)}, 2, lambda *values: seen.append(values))
    assert seen == [("upload", 1, 2)]


def test_jobs_unwind_when_the_caller_stops(tmp_path):
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

    def watcher(*_values):
        if len(list(tmp_path.iterdir())) == 2:
            raise Stop

    with pytest.raises(Stop):
        run_jobs({"a": work, "b": work}, 2, watcher)
    assert list(tmp_path.iterdir()) == []
