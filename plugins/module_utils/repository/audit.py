# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit history: who changed what, when and why; one JSON object a line in ``audit.jsonl``."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import json
import os
import socket
from collections.abc import Iterator

from ..common.errors import InvalidInput
from .lock import Locks
from .space import space_for

MAX_LINE = 64 * 1024
FIELDS = ("action", "kind", "name", "user", "version")


class Audit:
    """The history in the file ``path``, which is only ever appended to.

    A record is one line, written and synced under a lock. A line that a crash tore apart is passed
    over on reading, and ended before the next is written. The file may be moved away (rotated) at
    any time; the next record begins a new one.
    """

    def __init__(self, path: str, locks: Locks) -> None:
        self._path = path
        self._locks = locks

    def append(
        self,
        action: str,
        kind: str,
        name: str,
        *,
        version: str | None = None,
        comment: str | None = None,
        details: dict | None = None,
        user: str | None = None,
    ) -> dict:
        """Add a record and return it; ``user`` is who runs the process unless given."""
        record = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "user": user or _user(),
            "host": socket.gethostname(),
            "action": action,
            "kind": kind,
            "name": name,
            "version": version,
            "comment": comment,
            "details": details or {},
        }
        try:
            line = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(
                f"The audit record of {kind} {name!r} cannot be stored ({error}).", code="repository.audit_record"
            ) from None
        if len(line) > MAX_LINE:
            raise InvalidInput(
                f"The comment or details of {kind} {name!r} are longer than {MAX_LINE} bytes.",
                code="repository.audit_record",
            )
        with space_for("the audit history"):
            self._write(line)
        return record

    def _write(self, line: bytes) -> None:
        with self._locks.hold("audit", purpose="write the audit history"):
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                while line:
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(
        self,
        *,
        action: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        user: str | None = None,
        version: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> list[dict]:
        """Records that match every filter given, oldest first; with ``limit`` only the newest so many.

        ``since`` and ``until`` are RFC 3339 times or dates (UTC unless they say otherwise), both inclusive.
        """
        wanted = {key: value for key, value in zip(FIELDS, (action, kind, name, user, version)) if value is not None}
        first, last = _time(since, end=False), _time(until, end=True)
        found: list[dict] = []
        for record in self._records():
            if any(record.get(key) != value for key, value in wanted.items()):
                continue
            if first is not None or last is not None:
                try:
                    moment = _time(record["time"], end=False)
                except InvalidInput:
                    continue
                if (first is not None and moment < first) or (last is not None and moment > last):
                    continue
            found.append(record)
            if limit is not None and len(found) > max(limit, 0):
                del found[0]
        return found

    def _records(self) -> Iterator[dict]:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as stream:
            while line := stream.readline(MAX_LINE):
                with contextlib.suppress(ValueError, RecursionError):
                    record = json.loads(line)
                    if isinstance(record, dict) and isinstance(record.get("time"), str):
                        yield record


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _time(text: str | None, *, end: bool) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
        if end and len(text) == 10:
            moment = datetime.datetime.combine(moment, datetime.time.max)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError):
        raise InvalidInput(
            f"{str(text)[:40]!r} is not a time.",
            code="repository.audit_time",
            hint="Write times as 2026-01-31 or 2026-01-31T08:00:00Z.",
        ) from None
