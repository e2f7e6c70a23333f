# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a child process: results, errors, crashes and limits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import child_process
from ansible_collections.strata.layering.plugins.module_utils.common.child_process import run_guarded
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.common.optional_imports import np
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume_state import State


def no_children():
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
def test_results(value):
    assert run_guarded(lambda: value) == value
    no_children()


def test_numpy_results_and_arguments():
    found = run_guarded(lambda count, step: np.arange(count, dtype=np.uint64) * step, 1000, step=3)
    assert found.dtype == np.uint64
    assert int(found[-1]) == 2997


def test_the_child_is_another_process():
    kept = []
    assert run_guarded(lambda: kept.append(1) or os.getppid()) == os.getpid()
    assert kept == []


def test_progress():
    seen = []

    def work(progress):
        for number in range(1, 1001):
            progress("count", number, 1000)

    run_guarded(work, progress=lambda *news: seen.append(news))
    assert seen[-1] == ("count", 1000, 1000)
    assert len(seen) < 1000


def test_progress_may_cancel():
    def stop(*unused):
        raise KeyboardInterrupt

    def work(progress):
        progress("wait", 0, None)
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_guarded(work, progress=stop)
    no_children()


def test_errors_of_the_family():
    def work():
        raise Conflict("Taken.", code="test.taken", hint="Choose another.", name="x", size=3)

    with pytest.raises(Conflict) as caught:
        run_guarded(work)
    error = caught.value
    assert (error.message, error.code, error.hint, error.details) == (
        "Taken.",
        "test.taken",
        "Choose another.",
        {"name": "x", "size": 3},
    )


def test_an_error_that_cannot_travel():
    def work():
        raise Conflict("Taken.", code="test.taken", thing=lambda: None)

    with pytest.raises(Conflict, match="Taken"):
        run_guarded(work)


def test_os_errors():
    with pytest.raises(FileNotFoundError) as caught:
        run_guarded(lambda: open("/nowhere/at/all", "rb"))  # pylint: disable=consider-using-with
    assert caught.value.filename == "/nowhere/at/all"


def test_unexpected_errors_bring_their_traceback():
    def work():
        return {}["missing"]

    with pytest.raises(StrataError) as caught:
        run_guarded(work)
    assert caught.value.code == "internal"
    assert "in work" in caught.value.details["traceback"]
    with pytest.raises(StrataError) as caught:
        run_guarded(lambda: lambda: None)
    assert caught.value.code == "internal"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_crashes(number):
    with pytest.raises(Corrupt) as caught:
        run_guarded(lambda: os.kill(os.getpid(), number), what="volume x")
    assert caught.value.code == "common.ntfs_crashed"
    assert signal.Signals(number).name in caught.value.message
    assert "volume x" in caught.value.message
    no_children()


def test_silent_end():
    with pytest.raises(Corrupt, match="exit status 3"):
        run_guarded(lambda: os._exit(3))  # pylint: disable=protected-access


def test_memory_is_bounded():
    with pytest.raises(Corrupt) as caught:
        run_guarded(lambda: len(bytearray(400 << 20)), memory=100 << 20)
    assert caught.value.code == "common.ntfs_memory"


def test_time_is_bounded():
    with pytest.raises(Corrupt) as caught:
        run_guarded(lambda: time.sleep(60), timeout=0.3)
    assert caught.value.code == "common.ntfs_stuck"
    no_children()


def test_only_known_classes_are_taken():
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    with pytest.raises(Corrupt, match="cannot be read"):
        run_guarded(Evil)
    with pytest.raises(Corrupt, match="cannot be read"):
        run_guarded(lambda: subprocess.Popen)


def test_the_child_ends_with_its_parent(tmp_path):
    script = (
        f"import os, sys, time; sys.path[:0] = {sys.path!r}\n"
        f"from {child_process.__name__} import run_guarded\n"
        f"def work():\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()) + chr(10)); time.sleep(60)\n"
        "run_guarded(work)\n"
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
