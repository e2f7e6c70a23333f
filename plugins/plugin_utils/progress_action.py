# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module as Ansible does, and showing meanwhile how far it is.

The module runs in this thread by Ansible's own means, so that its result, check mode, become,
timeouts and interruption are what they are without this. Another thread looks every few seconds
into the small file that the module keeps on its host, and prints a line. Whatever goes wrong
with that ends only the lines.

Lines are printed when Ansible's output goes to a terminal. The variable
``strata_layering_progress``, or STRATA_LAYERING_PROGRESS in the environment of Ansible, says
otherwise: ``always``, ``never``, or ``auto``. A task with ``no_log`` or ``async`` prints none.
"""

from __future__ import annotations

import copy
import json
import os
import secrets
import shlex
import signal
import sys
import threading
from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ..module_utils.common.progress import FILE_VARIABLE
from .progress_lines import Lines

_SETTING, _SETTING_VARIABLE = "strata_layering_progress", "STRATA_LAYERING_PROGRESS"
#: Connections whose commands are processes of their own, so that two may run at once.
_LOCAL, _SSH = "local", "ssh"
#: How often the file is looked into, in seconds: of this machine, and through a connection.
_INTERVAL, _REMOTE_INTERVAL = 0.5, 3.0
#: What a file that somebody else wrote may have.
_LONGEST = 64 * 1024

# Ansible reads plugins before its workers give up the terminal; in a worker this is False.
_TERMINAL = sys.stdout is not None and os.isatty(1)

display = Display()


class WatchedAction(NormalAction):
    """The action of a module that tells how far it is."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if not self._is_wanted(task_vars or {}):
            return super().run(tmp, task_vars)
        path = f"/tmp/.strata-progress-{secrets.token_hex(16)}"
        environment = self._task.environment
        self._task.environment = [*environment, {FILE_VARIABLE: path}]
        watch = _Watch(self, path, Lines(self._label()))
        watch.start()
        try:
            return super().run(tmp, task_vars)
        finally:
            self._task.environment = environment
            watch.end()

    def _is_wanted(self, task_vars: dict[str, Any]) -> bool:
        setting = task_vars.get(_SETTING) or os.environ.get(_SETTING_VARIABLE) or "auto"
        setting = str(self._templar.template(setting)).lower()
        if setting not in ("auto", "always", "never"):
            display.warning(f"{_SETTING} is {setting!r}, which is none of auto, always and never.")
            return False
        if setting == "never" or (setting == "auto" and not _TERMINAL):
            return False
        # What a task with no_log is about is not told; one with async is polled by Ansible itself.
        return not self._task.no_log and not self._task.async_val and self._connection.transport in (_LOCAL, _SSH)

    def _label(self) -> str:
        """What the task is about, from its options."""
        arguments = self._task.args
        named = (
            arguments.get("name")
            or arguments.get("template")
            or arguments.get("templates")
            or self._task.action.rpartition(".")[2]
        )
        if isinstance(named, (list, tuple)):
            named = ", ".join(str(one) for one in named[:3]) + (", ..." if len(named) > 3 else "")
        version = arguments.get("version")
        return f"{named} {version}" if version else str(named)

    def read_there(self, path: str) -> bytes:
        """The content of a file on the host of the module, empty when there is none; by a connection of its own."""
        looking = copy.copy(self)
        looking._connection = copy.copy(self._connection)
        # Becoming somebody keeps a state for each command.
        if self._connection.become is not None:
            looking._connection.set_become_plugin(copy.copy(self._connection.become))
        found = looking._low_level_execute_command(f"cat {shlex.quote(path)} 2>/dev/null || true")
        return found.get("stdout", "").encode()

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the module's files are this process's own."""
        return self._connection.transport == _LOCAL and self._connection.become is None


class _Watch(threading.Thread):
    """Looks into the file and prints lines until it is ended."""

    def __init__(self, action: WatchedAction, path: str, lines: Lines) -> None:
        super().__init__(name="progress", daemon=True)
        self._action, self._path, self._lines = action, path, lines
        self._over = threading.Event()

    def start(self) -> None:
        # Signals are for the thread that runs the module: it is waiting, and would not wake up for one that came here.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self) -> None:
        near = self._action.is_on_this_machine
        interval = _INTERVAL if near else _REMOTE_INTERVAL
        try:
            while not self._over.wait(interval):
                content = self._read_here() if near else self._action.read_there(self._path)
                for line in self._lines.of(_documents(content)):
                    if not self._over.is_set():
                        display.display(line)
        except Exception as error:  # noqa: BLE001  pylint: disable=broad-except
            display.vvv(f"The progress of the module cannot be shown: {error}")

    def end(self) -> None:
        """Stop; a command that is under way is not waited for."""
        self._over.set()
        self.join(timeout=0.2)
        if self._action.is_on_this_machine:
            # A module that was killed leaves it.
            for path in (self._path, f"{self._path}.part"):
                try:
                    os.unlink(path)
                except OSError:
                    pass

    def _read_here(self) -> bytes:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_LONGEST + 1)


def _documents(content: bytes) -> list[dict]:
    """The documents of a progress file, as far as they are what they should be."""
    if not content or len(content) > _LONGEST:
        return []
    try:
        found = json.loads(content)
    except ValueError:
        return []
    return (
        [one for one in found if isinstance(one, dict) and isinstance(one.get("step"), str)]
        if isinstance(found, list)
        else []
    )
