# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composers of the fault tests: child processes that call the operations that the modules call."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ansible.module_utils.testing import patch_module_args

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.common.outcome import Outcome

#: Seconds after which a composer that has not ended counts as hung.
_TIME_LIMIT = 120
_FORK = multiprocessing.get_context("fork")

#: Codes of runs that ended without an error of the collection.
KILLED = "killed"
UNEXPECTED = "unexpected"


@dataclass(frozen=True)
class RunResult:
    """How a composer ended: ``code`` is the code of its error, None if it succeeded, ``KILLED`` if it was killed."""

    code: str | None = None
    message: str = ""
    hint: str | None = None
    changed: bool = False
    warnings: tuple[str, ...] = ()
    result: dict = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Return whether the run ended without an error."""
        return self.code is None


class Composer:
    """A process that runs one operation, in a process group of its own."""

    def __init__(self, operation: Callable[[], Outcome], before: Callable[[], None] | None = None) -> None:
        reader, writer = _FORK.Pipe(duplex=False)
        self._reader = reader
        self._process = _FORK.Process(target=_run, args=(writer, operation, before), daemon=False)
        self._process.start()
        writer.close()

    def kill(self) -> None:
        """Kill the process and its children."""
        if self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float = _TIME_LIMIT) -> RunResult:
        """Wait until the process ends and return its result; raise AssertionError if it hangs."""
        if not self._reader.poll(timeout):
            self.kill()
            self._process.join()
            raise AssertionError(f"The composer had not ended after {timeout} seconds.")
        try:
            ended = self._reader.recv()
        except EOFError:
            ended = RunResult(KILLED)
        self._process.join()
        # Its children must not outlive it.
        self.kill()
        return ended


def _run(writer: Connection, operation: Callable[[], Outcome], before: Callable[[], None] | None) -> None:
    os.setpgid(0, 0)
    if before is not None:
        before()
    try:
        outcome = operation()
        ended = RunResult(changed=outcome.changed, warnings=tuple(outcome.warnings), result=outcome.result)
    except StrataError as error:
        ended = RunResult(error.code, error.message, error.hint, result=error.details)
    except Exception as error:  # pylint: disable=broad-exception-caught
        ended = RunResult(UNEXPECTED, f"{error.__class__.__name__}: {error}")
    writer.send(ended)
    writer.close()


class _Parsed(Exception):
    """Carries the parsed parameters out of a module."""


def module_parameters(module: str, **options: object) -> dict:
    """Return the parameters of a module, defaults included, as the module passes them to its operation."""
    imported = importlib.import_module(f"ansible_collections.strata.layering.plugins.modules.{module}")
    original = imported.LayeringModule

    def parse(**keywords: object) -> None:
        raise _Parsed(original(**keywords).params)

    imported.LayeringModule = parse
    try:
        with patch_module_args(dict(options, _ansible_check_mode=False, _ansible_diff=False)):
            imported.main()
    except _Parsed as parsed:
        return parsed.args[0]
    finally:
        imported.LayeringModule = original
    raise AssertionError(f"{module} did not create a LayeringModule")
