# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit history: who changed which object, when and why; one JSON object per line in ``audit.jsonl``."""

from __future__ import annotations

import collections
import contextlib
import datetime
import getpass
import json
import os
import socket
from collections.abc import Collection, Iterator

from ..common.errors import InternalError, InvalidInput
from .lock import Locks
from .space import space_for

MAX_LINE = 64 * 1024


class Audit:
    """The history in the file ``path``, to which lines are only appended.

    A record is one line, written and synced under a lock. Reading skips a line that a crash truncated;
    the next write ends that line first. The file may be moved away (rotated) at any time; the next record
    creates a new file.
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
    ) -> dict:
        """Add a record and return it; its user is the user that runs the process.

        Raises:
            InvalidInput: ``repository.audit_record`` if comment and details are too long.
            NoSpace: ``repository.no_space``.
        """
        record = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "user": _user(),
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
            raise InternalError(
                f"The audit record of the {kind} {name!r} cannot be stored as JSON ({error}).",
                code="repository.audit_record",
            ) from None
        if len(line) > MAX_LINE:
            raise InvalidInput(
                f"The audit record of the {kind} {name!r} has {len(line)} bytes; at most {MAX_LINE} are allowed.",
                code="repository.audit_record",
                hint="Set a shorter comment.",
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
        kinds: Collection[str] | None = None,
        name: str | None = None,
        since: str | None = None,
        limit: int | None = None,
    ) -> list[dict]:
        """Return records that match every filter, oldest first; with ``limit`` only the newest ``limit`` records.

        ``since`` is an RFC 3339 time or a date, in UTC unless it has an offset, inclusive.

        Raises:
            InvalidInput: ``repository.audit_time``.
        """
        first = _parse_time(since) if since is not None else None
        found: collections.deque[dict] = collections.deque(maxlen=None if limit is None else max(limit, 0))
        for record in self.records():
            if (kinds is None or record.get("kind") in kinds) and (name is None or name in _names(record)):
                if first is None or _is_since(record, first):
                    found.append(record)
        return list(found)

    def records(self) -> Iterator[dict]:
        """Yield all records, oldest first."""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as stream:
            while line := stream.readline(MAX_LINE):
                with contextlib.suppress(ValueError, RecursionError):
                    record = json.loads(line)
                    if isinstance(record, dict) and isinstance(record.get("time"), str):
                        yield record


def _names(record: dict) -> tuple[object, ...]:
    """Return the name of a record, and the former name of an object that was renamed."""
    details = record.get("details")
    renamed = details.get("name") if record.get("action") == "rename" and isinstance(details, dict) else None
    return record.get("name"), renamed.get("before") if isinstance(renamed, dict) else record.get("name")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _is_since(record: dict, first: datetime.datetime) -> bool:
    try:
        return _parse_time(record["time"]) >= first
    except InvalidInput:
        return False


def _parse_time(text: str) -> datetime.datetime:
    """Return the time; a date means its first moment."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError):
        raise InvalidInput(
            f"{str(text)[:40]!r} is not a time.",
            code="repository.audit_time",
            hint="Set since to a date or time such as 2026-01-31 or 2026-01-31T08:00:00Z.",
        ) from None
