# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module as Ansible does, and print its progress.

The module runs in this thread with Ansible's own methods, so that its result, check mode, become, timeouts and
interruption do not change. A second thread reads a small file that the module keeps on its host, every few
seconds, and prints a line. A failure of this thread ends only the lines.

Lines are printed if Ansible's output is a terminal. The variable ``strata_layering_progress``, or
STRATA_LAYERING_PROGRESS in the environment of Ansible, overrides this: ``always``, ``never`` or ``auto``. A task
with ``no_log`` or ``async`` prints no lines.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import shlex
import signal
import sys
import threading
from typing import Any

from ansible.utils.display import Display

from ..module_utils.common.progress import FILE_VARIABLE
from .checked_action import CheckedAction
from .progress_lines import ProgressLines

_SETTING, _SETTING_VARIABLE = "strata_layering_progress", "STRATA_LAYERING_PROGRESS"
#: Connections whose commands are separate processes: two commands may run at the same time.
_LOCAL, _SSH = "local", "ssh"
#: Seconds between two reads of the file: on this host, and through a connection.
_INTERVAL, _REMOTE_INTERVAL = 0.5, 3.0
#: The maximum size of the file in bytes; another user may have written it.
_MAXIMUM_BYTES = 64 * 1024

# Ansible loads plugins before its workers give up the terminal; in a worker this value would be False.
_TERMINAL = sys.stdout is not None and os.isatty(1)

display = Display()


class ProgressAction(CheckedAction):
    """The action of a module that reports its progress."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and print its progress, if the settings allow it."""
        if not self._is_enabled(task_vars or {}):
            return super().run(tmp, task_vars)
        path = f"/tmp/.strata-progress-{secrets.token_hex(16)}"
        environment = self._task.environment
        self._task.environment = [*environment, {FILE_VARIABLE: path}]
        printer = _Printer(self, path, ProgressLines(self._label()))
        printer.start()
        try:
            return super().run(tmp, task_vars)
        finally:
            self._task.environment = environment
            printer.stop()

    def _is_enabled(self, task_vars: dict[str, Any]) -> bool:
        setting = task_vars.get(_SETTING) or os.environ.get(_SETTING_VARIABLE) or "auto"
        setting = str(self._templar.template(setting)).lower()
        if setting not in ("auto", "always", "never"):
            display.warning(
                f"The value {setting!r} of {_SETTING} is ignored; expected 'auto', 'always' or 'never'. "
                "No progress is printed."
            )
            return False
        if setting == "never" or (setting == "auto" and not _TERMINAL):
            return False
        # The options of a task with no_log must not be printed. Ansible itself polls a task with async.
        return not self._task.no_log and not self._task.async_val and self._connection.transport in (_LOCAL, _SSH)

    def _label(self) -> str:
        """Return the subject of the task, from its options."""
        arguments = self._task.args
        names = (
            arguments.get("name")
            or arguments.get("template")
            or _names(arguments.get("templates"))
            or _names(arguments.get("layers"))
            or _pools_and_farms(arguments)
            or self._task.action.rpartition(".")[2]
        )
        if isinstance(names, (list, tuple)):
            names = ", ".join(str(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        version = arguments.get("version")
        return f"{names} {version}" if version else str(names)

    def read_remote(self, path: str) -> bytes:
        """Return the content of a file on the host of the module, empty if it does not exist.

        It uses a separate connection, because the module occupies the connection of the task.
        """
        reader = copy.copy(self)
        reader._connection = copy.copy(self._connection)
        # A become plugin has a state for each command.
        if self._connection.become is not None:
            reader._connection.set_become_plugin(copy.copy(self._connection.become))
        result = reader._low_level_execute_command(f"cat {shlex.quote(path)} 2>/dev/null || true")
        return result.get("stdout", "").encode()

    @property
    def is_local(self) -> bool:
        """Whether the module runs on this host as this user."""
        return self._connection.transport == _LOCAL and self._connection.become is None


class _Printer(threading.Thread):
    """Read the progress file and print lines until ``stop`` is called."""

    def __init__(self, action: ProgressAction, path: str, lines: ProgressLines) -> None:
        super().__init__(name="progress", daemon=True)
        self._action, self._path, self._lines = action, path, lines
        self._stopped = threading.Event()

    def start(self) -> None:
        # Signals must reach the thread that runs the module: it waits, and a signal in this thread would not wake it.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def run(self) -> None:
        is_local = self._action.is_local
        interval = _INTERVAL if is_local else _REMOTE_INTERVAL
        try:
            while not self._stopped.wait(interval):
                content = self._read_local() if is_local else self._action.read_remote(self._path)
                for line in self._lines.update(_documents(content)):
                    if not self._stopped.is_set():
                        display.display(line)
        except Exception as error:  # noqa: BLE001  pylint: disable=broad-except
            display.vvv(f"The progress of the module cannot be displayed: {error}")

    def stop(self) -> None:
        """Stop printing; a command that is running is not awaited."""
        self._stopped.set()
        self.join(timeout=0.2)
        if self._action.is_local:
            # A killed module leaves the file behind.
            for path in (self._path, f"{self._path}.part"):
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _read_local(self) -> bytes:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_MAXIMUM_BYTES + 1)


def _pools_and_farms(arguments: dict[str, Any]) -> list[Any]:
    """Return the pools and farms in the options of a task."""
    values = [arguments.get(option) or [] for option in ("pool", "pools", "farm", "farms")]
    return [name for value in values for name in (value if isinstance(value, (list, tuple)) else [value])]


def _names(value: Any) -> Any:
    """Return the names in an option whose elements are names or mappings with a name."""
    if not isinstance(value, (list, tuple)):
        return value
    return [entry.get("name") if isinstance(entry, dict) else entry for entry in value]


def _documents(content: bytes) -> list[dict[str, Any]]:
    """Return the valid documents of a progress file."""
    if not content or len(content) > _MAXIMUM_BYTES:
        return []
    try:
        documents = json.loads(content)
    except ValueError:
        return []
    if not isinstance(documents, list):
        return []
    return [document for document in documents if isinstance(document, dict) and isinstance(document.get("step"), str)]
