# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit history: who changed which object, when and why; one JSON object per line in ``audit.jsonl`` and its older parts."""

from __future__ import annotations

import collections
import contextlib
import datetime
import json
import os
import socket
from collections.abc import Collection, Iterator

from ..common.composer_paths import login_name
from ..common.errors import InternalError, InvalidInput
from .audit_parts import MAX_LINE, Moved, Source, move, open_sources, plan_move
from .lock import Locks
from .space import space_for


class Audit:
    """The history in the file ``path``, to which lines are only appended, and in the parts in the folder ``parts``.

    A record is one line, written and synced under a lock. Reading skips a line that a crash truncated;
    the next write ends that line first. ``move`` moves old records into compressed parts. The file may also be moved
    away at any time; the next record creates a new file.
    """

    def __init__(self, path: str, locks: Locks, parts: str | None = None) -> None:
        self._path = path
        self._parts = parts or os.path.join(os.path.dirname(path), "audit")
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
            "user": login_name(),
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
            Corrupt: ``repository.audit_corrupt`` if a part is damaged.
        """
        first = _parse_time(since) if since is not None else None
        sources = self._open(first)
        found: collections.deque[dict] = collections.deque()
        # The newest file is read first: with a limit, the older files are often not needed.
        for source in reversed(sources):
            left = None if limit is None else max(limit, 0) - len(found)
            if left == 0:
                source.stream.close()
                continue
            of_source: collections.deque[dict] = collections.deque(maxlen=left)
            for record in _records(source):
                if (kinds is None or record.get("kind") in kinds) and (name is None or name in _names(record)):
                    if first is None or _is_since(record, first):
                        of_source.append(record)
            found.extendleft(reversed(of_source))
        return list(found)

    def records(self) -> Iterator[dict]:
        """Yield all records, oldest first.

        Raises:
            Corrupt: ``repository.audit_corrupt`` if a part is damaged.
        """
        for source in self._open(None):
            yield from _records(source)

    def _open(self, since: datetime.datetime | None) -> list[Source]:
        """Open the files that can have records since a time, oldest first."""
        with self._locks.hold("audit", shared=True, purpose="read the audit history"):
            sources = open_sources(self._parts, self._path)
        if since is None:
            return sources
        first = f"{since.astimezone(datetime.UTC):%Y-%m}"
        for source in sources:
            if source.month is not None and source.month < first:
                source.stream.close()
        return [source for source in sources if not source.stream.closed]

    def move(self, days: int, *, dry_run: bool = False) -> Moved:
        """Move the records of months that ended before the month of the day ``days`` days ago into compressed parts.

        Raises:
            NoSpace: ``common.files_no_space``.
            Conflict, Unavailable, Unsupported: as ``Locks.hold``.
        """
        before = f"{datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days):%Y-%m}"
        if dry_run:
            return plan_move(self._path, before)
        with self._locks.hold("audit", timeout=600, purpose="move old records of the audit history"):
            return move(self._parts, self._path, before)


def _records(source: Source) -> Iterator[dict]:
    for line in source.lines():
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get("time"), str):
                yield record


def _names(record: dict) -> tuple[object, ...]:
    """Return the name of a record, and the former name of an object that was renamed."""
    details = record.get("details")
    renamed = details.get("name") if record.get("action") == "rename" and isinstance(details, dict) else None
    return record.get("name"), renamed.get("before") if isinstance(renamed, dict) else record.get("name")


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
