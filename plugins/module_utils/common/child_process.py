# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a function on untrusted data in a child process.

C libraries follow structures that damaged or hostile data controls. A crash, exhausted
memory or an endless loop ends only the child and is reported as a StrataError.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import gc
import io
import os
import pickle
import resource
import select
import signal
import struct
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import Corrupt, InternalError, StrataError
from .progress import Progress, silent

_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct("<cI")
#: A result larger than this (bytes) is not accepted from the child.
MAXIMUM_RESULT = 1 << 30
#: Address space in bytes that the child may use in addition to its parent's.
MEMORY = 2 << 30
_PROGRESS_INTERVAL = 0.2

# Kinds of messages from the child.
_RESULT, _ERROR, _OS_ERROR, _OUT_OF_MEMORY, _UNEXPECTED, _PROGRESS = b"r", b"e", b"o", b"m", b"x", b"p"

_PACKAGE = __name__.rsplit(".", 2)[0]
_SAFE = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "_codecs": {"encode"},
}


class _Unpickler(pickle.Unpickler):
    # An attacker may control the child: only plain data and this collection's own classes are loaded.
    def find_class(self, module: str, name: str) -> Any:
        if name in _SAFE.get(module, ()) or module.startswith(_PACKAGE + ".") and "." not in name:
            loaded = super().find_class(module, name)
            if module in _SAFE or isinstance(loaded, type) or name == "_rebuild":
                return loaded
        if module.startswith("numpy") and name in ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Task:
    """The parts of error messages about a child: its ``subject``, the ``hint`` of the caller and the limits."""

    subject: str
    hint: str | None
    memory: int
    timeout: float | None

    def crashed(self, cause: str) -> Corrupt:
        return Corrupt(f"Processing {self.subject} failed: {cause}.", code="common.child_crashed", hint=self.hint)

    def stuck(self) -> Corrupt:
        return Corrupt(
            f"Processing {self.subject} did not finish within {self.timeout:g} seconds.",
            code="common.child_stuck",
            hint=self.hint,
        )

    def out_of_memory(self) -> Corrupt:
        return Corrupt(
            f"Processing {self.subject} needed more than {self.memory >> 20} MiB of memory.",
            code="common.child_out_of_memory",
            hint=self.hint,
        )


def end_with_parent(parent: int) -> bool:
    """Have the kernel kill this process when its parent ends; return whether ``parent`` still is the parent.

    Call it in a forked child with the process ID that the parent had before the fork.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def run_in_child(
    function: Callable[..., Any],
    *arguments: Any,
    progress: Progress = silent,
    memory: int = MEMORY,
    timeout: float | None = None,
    subject: str = "the data",
    hint: str | None = None,
    **keywords: Any,
) -> Any:
    """Run ``function(*arguments, progress=..., **keywords)`` in a child process and return its result.

    The result must be picklable and consist of plain data, numpy arrays or this
    collection's classes. Changes of Python objects stay in the child; changes of files
    persist. The child ends when its parent does. ``function`` must take ``progress`` if
    one is passed. ``memory`` is in bytes, ``timeout`` in seconds. Error messages name
    ``subject``; ``hint`` is the advice for data that crashes the child or exceeds a limit.

    Raises:
        StrataError, OSError: as ``function`` raised it.
        Corrupt common.child_crashed: the child crashed or returned an invalid result.
        Corrupt common.child_stuck: the child did not finish within ``timeout``.
        Corrupt common.child_out_of_memory: the child needed more than ``memory``.
        InternalError common.child_failed: ``function`` raised any other exception; its traceback is in the details.
    """
    with ChildCall(
        function,
        *arguments,
        progress=progress,
        memory=memory,
        timeout=timeout,
        subject=subject,
        hint=hint,
        **keywords,
    ) as call:
        return call.result()


class ChildCall:
    """A call of a function in a child process, which runs while the caller does other work.

    The arguments are those of ``run_in_child``. It is a context manager: the child ends with the context.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        progress: Progress = silent,
        memory: int = MEMORY,
        timeout: float | None = None,
        subject: str = "the data",
        hint: str | None = None,
        **keywords: Any,
    ) -> None:
        if progress is not silent:
            keywords["progress"] = progress
        self._progress = progress
        self._task = _Task(subject, hint, memory, timeout)
        self._reading, writing = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._child = os.fork()
        if not self._child:
            _child(parent, self._reading, writing, memory, lambda: _call(function, arguments, keywords, writing))
        os.close(writing)

    def result(self) -> Any:
        """Wait for the child and return its result; raise as ``run_in_child``. ``timeout`` counts from here."""
        kind, payload = _listen(self._reading, self._progress, self._task)
        child, self._child = self._child, 0
        return _outcome(kind, payload, os.waitpid(child, 0)[1], self._task)

    def __enter__(self) -> ChildCall:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._reading)
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)


# -- the parent


def _listen(reading: int, progress: Progress, task: _Task) -> tuple[bytes, bytes]:
    deadline = None if task.timeout is None else time.monotonic() + task.timeout
    buffer = bytearray()
    result = (b"", b"")
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while True:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise task.stuck()
        piece = os.read(reading, 1 << 20)
        if not piece:
            return result
        buffer += piece
        while len(buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer)
            if length > MAXIMUM_RESULT:
                raise task.crashed(f"its result is larger than {MAXIMUM_RESULT} bytes")
            if len(buffer) < _HEADER.size + length:
                break
            payload = bytes(buffer[_HEADER.size : _HEADER.size + length])
            del buffer[: _HEADER.size + length]
            if kind == _PROGRESS:
                progress(*_load(payload, task))
            else:
                result = (kind, payload)


def _load(payload: bytes, task: _Task) -> Any:
    try:
        return _Unpickler(io.BytesIO(payload)).load()
    except Exception as error:
        raise task.crashed(f"its result cannot be read ({error})") from error


def _outcome(kind: bytes, payload: bytes, status: int, task: _Task) -> Any:
    if kind == _RESULT:
        return _load(payload, task)
    if kind:
        _raise_error(kind, payload, task)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        is_named = number in signal.valid_signals() and number < signal.SIGRTMIN
        name = signal.Signals(number).name if is_named else str(number)
        raise task.crashed(f"the child process crashed with signal {name}")
    raise task.crashed(f"the child process ended without a result (exit status {os.waitstatus_to_exitcode(status)})")


def _raise_error(kind: bytes, payload: bytes, task: _Task) -> NoReturn:
    if kind == _OUT_OF_MEMORY:
        raise task.out_of_memory()
    content = _load(payload, task)
    if kind == _ERROR and isinstance(content, StrataError):
        raise content
    if kind == _OS_ERROR:
        raise OSError(*content)
    if kind == _UNEXPECTED:
        summary, trace = content
        raise InternalError(
            f"Processing {task.subject} raised an unexpected error: {summary}.",
            code="common.child_failed",
            traceback=trace,
        )
    raise task.crashed("its result cannot be read")


# -- the child


def _child(parent: int, reading: int, writing: int, memory: int, call: Callable[[], tuple[bytes, bytes]]) -> NoReturn:
    status = 1
    try:
        os.close(reading)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if end_with_parent(parent):
            # The parent reports a crash.
            faulthandler.disable()
            # Objects from before the fork live as long as the child: collecting garbage among them would only copy their pages.
            gc.freeze()
            _limit(memory)
            _send(writing, *call())
            status = 0
    finally:
        os._exit(status)  # pylint: disable=protected-access


def _limit(memory: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        present = int(statm.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = present + memory
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _call(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any], writing: int
) -> tuple[bytes, bytes]:
    """Return the kind and payload of the message that reports what ``function`` returned or raised."""
    try:
        if "progress" in keywords:
            keywords["progress"] = _reporter(writing)
        payload = pickle.dumps(function(*arguments, **keywords), pickle.HIGHEST_PROTOCOL)
        if len(payload) > MAXIMUM_RESULT:
            return _OUT_OF_MEMORY, b""
        return _RESULT, payload
    except StrataError as error:
        return _ERROR, _pickled(error)
    except OSError as error:
        return _OS_ERROR, pickle.dumps((error.errno, error.strerror, error.filename))
    except MemoryError:
        return _OUT_OF_MEMORY, b""
    except BaseException as error:  # pylint: disable=broad-exception-caught
        return _UNEXPECTED, pickle.dumps((f"{type(error).__name__}: {error}", traceback.format_exc()))


def _pickled(error: StrataError) -> bytes:
    try:
        return pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
    except Exception:  # pylint: disable=broad-exception-caught
        return pickle.dumps(type(error)(error.message, code=error.code, hint=error.hint), pickle.HIGHEST_PROTOCOL)


def _send(writing: int, kind: bytes, payload: bytes) -> None:
    view = memoryview(_HEADER.pack(kind, len(payload)) + payload)
    while view:
        view = view[os.write(writing, view) :]


def _reporter(writing: int) -> Progress:
    last: dict[str, float] = {}

    def report(step: str, done: int, total: int | None) -> None:
        present = time.monotonic()
        if present - last.get(step, 0.0) >= _PROGRESS_INTERVAL or done == total:
            last[step] = present
            _send(writing, _PROGRESS, pickle.dumps((step, done, total)))

    return report
