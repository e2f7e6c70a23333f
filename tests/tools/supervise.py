# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and end all processes that it leaves behind, including daemons such as wineserver.

    supervise.py --minutes 80 COMMAND...

The exit code is that of the command, or 124 if it did not end in time.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # The name in parentheses may hold spaces; the parent is the second field after it.
            parents[int(folder.name)] = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for ancestor in found:
        found += [process for process, parent in parents.items() if parent == ancestor]
    return found[1:]


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_descendants(grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + grace
        signalled: set[int] = set()
        _reap()
        while (left := _descendants()) and time.monotonic() < deadline:
            for process in left:
                if process not in signalled:
                    signalled.add(process)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, number)
            time.sleep(0.05)
            _reap()


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="how long the command may take")
    parser.add_argument(
        "--grace", type=float, default=5.0, help="seconds between asking a process to end and killing it"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        return subprocess.Popen(options.command).wait(timeout=options.minutes * 60)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"Not finished after {options.minutes:g} minutes: {' '.join(options.command)}\n")
        return 124
    finally:
        _end_descendants(options.grace)


if __name__ == "__main__":
    sys.exit(main())
