# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running work on untrusted volumes in a child process.

libntfs-3g is C code that follows structures a damaged or hostile disk controls. What it
does to its process, a crash, exhausted memory or an endless loop, ends the child only and
becomes an error of the family.
"""

from __future__ import annotations

import contextlib
import ctypes
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
from typing import Any

from .errors import Corrupt, StrataError
from .progress import Progress, silent

_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct("<cI")
#: A result larger than this is not taken from the child.
MAXIMUM_RESULT = 1 << 30
#: Address space the child may use beyond what its parent has.
MEMORY = 2 << 30
_PROGRESS_INTERVAL = 0.2

_PACKAGE = __name__.rsplit(".", 2)[0]
_SAFE = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"OrderedDict", "defaultdict", "deque", "Counter"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "_codecs": {"encode"},
}


class _Unpickler(pickle.Unpickler):
    # The child may have been taken over: only plain data and this collection's own classes are believed.
    def find_class(self, module: str, name: str) -> Any:
        if name in _SAFE.get(module, ()) or module.startswith(_PACKAGE + ".") and "." not in name:
            found = super().find_class(module, name)
            if module in _SAFE or isinstance(found, type) or name == "_rebuild":
                return found
        if module.startswith("numpy") and name in ("ndarray", "dtype", "_reconstruct", "_frombuffer", "scalar"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def run_guarded(
    function: Callable[..., Any],
    *arguments: Any,
    progress: Progress = silent,
    memory: int = MEMORY,
    timeout: float | None = None,
    what: str = "the NTFS volume",
    **keywords: Any,
) -> Any:
    """Run ``function(*arguments, progress=..., **keywords)`` in a child process and return its result.

    The result must be picklable and is made of plain data, numpy arrays or this
    collection's classes. What the function does to Python objects stays in the child;
    what it writes to files stays. A StrataError or OSError is raised again as itself,
    any other exception as StrataError with code "internal" and its traceback in details,
    a crash of the child as Corrupt "ntfs.crashed", lack of ``memory`` (bytes) as Corrupt
    "ntfs.memory", running longer than ``timeout`` seconds as Corrupt "ntfs.stuck". The
    child ends when its parent does. ``function`` must take ``progress`` when one is given.
    """
    if progress is not silent:
        keywords["progress"] = progress
    reading, writing = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    child = os.fork()
    if not child:
        _child(parent, reading, writing, function, arguments, keywords, memory)
    os.close(writing)
    reaped = False
    try:
        kind, payload = _listen(reading, progress, timeout, what)
        status = os.waitpid(child, 0)[1]
        reaped = True
    finally:
        os.close(reading)
        if not reaped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return _outcome(kind, payload, status, what)


def _damaged(code: str, sentence: str) -> Corrupt:
    return Corrupt(
        sentence,
        code=code,
        hint="The file system is probably damaged: run chkdsk on the machine that the disk comes from and export it again.",
    )


def _listen(reading: int, progress: Progress, timeout: float | None, what: str) -> tuple[bytes, bytes]:
    deadline = None if timeout is None else time.monotonic() + timeout
    buffer = bytearray()
    result = (b"", b"")
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while True:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _damaged("common.ntfs_stuck", f"Work on {what} did not end within {timeout:g} seconds.")
        piece = os.read(reading, 1 << 20)
        if not piece:
            return result
        buffer += piece
        while len(buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer)
            if length > MAXIMUM_RESULT:
                raise _damaged("common.ntfs_crashed", f"Work on {what} gave a result that is too large.")
            if len(buffer) < _HEADER.size + length:
                break
            payload = bytes(buffer[_HEADER.size : _HEADER.size + length])
            del buffer[: _HEADER.size + length]
            if kind == b"p":
                progress(*_load(payload, what))
            else:
                result = (kind, payload)


def _load(payload: bytes, what: str) -> Any:
    try:
        return _Unpickler(io.BytesIO(payload)).load()
    except Exception as error:
        raise _damaged("common.ntfs_crashed", f"Work on {what} gave a result that cannot be read ({error}).") from error


def _outcome(kind: bytes, payload: bytes, status: int, what: str) -> Any:
    if kind == b"r":
        return _load(payload, what)
    if kind == b"e":
        error = _load(payload, what)
        raise (
            error
            if isinstance(error, StrataError)
            else _damaged("common.ntfs_crashed", f"Work on {what} gave a result that cannot be read.")
        )
    if kind == b"o":
        raise OSError(*_load(payload, what))
    if kind == b"m":
        raise _damaged("common.ntfs_memory", f"Work on {what} needed more memory than a sound volume does.")
    if kind == b"x":
        summary, trace = _load(payload, what)
        raise StrataError(
            f"Work on {what} met an unexpected error: {summary}.",
            code="internal",
            hint="This is a defect of strata.layering: report it with these details.",
            traceback=trace,
        )
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = (
            signal.Signals(number).name
            if number in signal.valid_signals() and number < signal.SIGRTMIN
            else str(number)
        )
        raise _damaged("common.ntfs_crashed", f"The NTFS library crashed ({name}) while working on {what}.")
    raise _damaged(
        "common.ntfs_crashed",
        f"Work on {what} ended without a result (exit status {os.waitstatus_to_exitcode(status)}).",
    )


def _child(parent: int, reading: int, writing: int, function, arguments, keywords, memory: int) -> None:
    status = 1
    try:
        os.close(reading)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return
        # A crash is reported by the parent, in its own words.
        faulthandler.disable()
        # What was there before the fork lives as long as the child: looking for garbage in it would only copy its pages.
        gc.freeze()
        _limit(memory)
        if "progress" in keywords:
            keywords["progress"] = _reporter(writing)
        kind, payload = _call(function, arguments, keywords)
        _send(writing, kind, payload)
        status = 0
    finally:
        os._exit(status)  # pylint: disable=protected-access


def _limit(memory: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        present = int(statm.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = present + memory
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _call(function, arguments, keywords) -> tuple[bytes, bytes]:
    try:
        payload = pickle.dumps(function(*arguments, **keywords), pickle.HIGHEST_PROTOCOL)
        if len(payload) > MAXIMUM_RESULT:
            return b"m", b""
        return b"r", payload
    except StrataError as error:
        return b"e", _pickled(error)
    except OSError as error:
        return b"o", pickle.dumps((error.errno, error.strerror, error.filename))
    except MemoryError:
        return b"m", b""
    except BaseException as error:  # pylint: disable=broad-exception-caught
        return b"x", pickle.dumps((f"{type(error).__name__}: {error}", traceback.format_exc()))


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
            _send(writing, b"p", pickle.dumps((step, done, total)))

    return report
