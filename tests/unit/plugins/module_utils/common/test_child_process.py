# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions that run in a child process: results, errors, crashes and limits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import child_process
from ansible_collections.strata.layering.plugins.module_utils.common.child_process import ChildCall, run_in_child
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Corrupt, InternalError
from ansible_collections.strata.layering.plugins.module_utils.common.optional_imports import np
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_state import State


def assert_no_children():
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text \ud800",
        b"\0" * 3_000_000,
        {"a": [1, (2, {3})]},
        State((3, 1), "x", 0, False, "none", "clean", True, True),
    ],
)
def test_child_result_is_returned(value):
    assert run_in_child(lambda: value) == value
    assert_no_children()


def test_child_takes_arguments_and_returns_arrays():
    array = run_in_child(lambda count, step: np.arange(count, dtype=np.uint64) * step, 1000, step=3)
    assert array.dtype == np.uint64
    assert int(array[-1]) == 2997


def test_child_changes_of_objects_do_not_reach_the_parent():
    kept = []
    assert run_in_child(lambda: kept.append(1) or os.getppid()) == os.getpid()
    assert kept == []


def test_child_progress_is_thinned_out_and_complete():
    seen = []

    def work(progress):
        for number in range(1, 1001):
            progress("count", number, 1000)

    run_in_child(work, progress=lambda *values: seen.append(values))
    assert seen[-1] == ("count", 1000, 1000)
    assert len(seen) < 1000


def test_child_is_killed_when_progress_cancels():
    def stop(*_values):
        raise KeyboardInterrupt

    def work(progress):
        progress("wait", 0, None)
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_in_child(work, progress=stop)
    assert_no_children()


def test_child_strata_error_is_raised_unchanged():
    def work():
        raise Conflict("Taken.", code="test.taken", hint="Choose a free name.", name="x", size=3)

    with pytest.raises(Conflict) as caught:
        run_in_child(work)
    error = caught.value
    assert error.message == "Taken."
    assert error.code == "test.taken"
    assert error.hint == "Choose a free name."
    assert error.details == {"name": "x", "size": 3}


def test_child_error_with_unpicklable_details_is_raised_without_them():
    def work():
        raise Conflict("Taken.", code="test.taken", thing=lambda: None)

    with pytest.raises(Conflict) as caught:
        run_in_child(work)
    assert caught.value.code == "test.taken"
    assert caught.value.details == {}


def test_child_os_error_keeps_its_file_name():
    with pytest.raises(FileNotFoundError) as caught:
        run_in_child(lambda: open("/nowhere/at/all", "rb"))  # pylint: disable=consider-using-with
    assert caught.value.filename == "/nowhere/at/all"


def test_child_unexpected_error_carries_its_traceback():
    def work():
        return {}["missing"]

    with pytest.raises(InternalError) as caught:
        run_in_child(work)
    assert caught.value.code == "common.child_failed"
    assert "in work" in caught.value.details["traceback"]


def test_child_unpicklable_result_is_an_internal_error():
    with pytest.raises(InternalError) as caught:
        run_in_child(lambda: lambda: None)
    assert caught.value.code == "common.child_failed"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_child_crash_names_signal_subject_and_hint(number):
    with pytest.raises(Corrupt) as caught:
        run_in_child(lambda: os.kill(os.getpid(), number), subject="volume x", hint="Check it.")
    assert caught.value.code == "common.child_crashed"
    assert caught.value.hint == "Check it."
    assert signal.Signals(number).name in caught.value.message
    assert "volume x" in caught.value.message
    assert_no_children()


def test_child_exit_without_result_is_a_crash():
    with pytest.raises(Corrupt) as caught:
        run_in_child(lambda: os._exit(3))  # pylint: disable=protected-access
    assert caught.value.code == "common.child_crashed"
    assert "exit status 3" in caught.value.message


def test_child_exceeding_memory_is_reported():
    with pytest.raises(Corrupt) as caught:
        run_in_child(lambda: len(bytearray(400 << 20)), memory=100 << 20)
    assert caught.value.code == "common.child_out_of_memory"


def test_child_exceeding_timeout_is_killed():
    with pytest.raises(Corrupt) as caught:
        run_in_child(lambda: time.sleep(60), timeout=0.3)
    assert caught.value.code == "common.child_stuck"
    assert_no_children()


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("function", [Evil, lambda: subprocess.Popen])
def test_child_result_of_a_foreign_class_is_rejected(function):
    with pytest.raises(Corrupt) as caught:
        run_in_child(function)
    assert caught.value.code == "common.child_crashed"


def test_child_ends_with_its_parent(tmp_path):
    script = (
        f"import os, sys, time; sys.path[:0] = {sys.path!r}\n"
        f"from {child_process.__name__} import run_in_child\n"
        f"def work():\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()) + chr(10)); time.sleep(60)\n"
        "run_in_child(work)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child = int((tmp_path / "pid").read_text())
        parent.kill()
    while True:
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as stat:
                if stat.read().rpartition(")")[2].split()[0] in "ZX":
                    break
        except (FileNotFoundError, ProcessLookupError):
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_caller_works_while_the_child_runs():
    reading, writing = os.pipe()
    with ChildCall(os.read, reading, 10) as call:
        # The child waits for what only the caller writes.
        os.write(writing, b"continue")
        assert call.result() == b"continue"
    os.close(reading)
    os.close(writing)


def test_child_ends_with_the_context():
    with pytest.raises(KeyError), ChildCall(time.sleep, 600) as call:
        child = call._child
        raise KeyError
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)
