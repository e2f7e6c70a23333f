# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log of the requests to Horizon and its answers, for a report about a Connection Server that behaves differently than expected."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from ...common.errors import InvalidInput
from .redaction import Secrets

if TYPE_CHECKING:
    from .exchange import Request, Response

#: Bytes: the file, and the answer of a line.
_LONGEST_LOG, _LONGEST_ANSWER = 16 << 20, 64 << 10
_HEADERS = (
    "Date",
    "Content-Type",
    "Location",
    "HAS_MORE_RECORDS",
    "X-TOTAL-COUNT",
    "X-Rate-Limit-Retry-After-Seconds",
    "Retry-After",
)


class ApiLog:
    """Appends a JSON object for each request to a file that only its owner can read.

    An answer that equals the previous answer to the same request is logged as ``"same_answer": true``: a wait asks the same
    question for hours. The file has at most 16 MiB. A full disk ends the log, not the run.
    """

    def __init__(self, path: str, secrets: Secrets) -> None:
        """Open the file.

        Raises:
            InvalidInput: ``horizon.api_log`` if the file cannot be written, is not a plain file, or if another user can read it.
        """
        self._secrets = secrets
        self._answers: dict[str, bytes] = {}
        try:
            self._file = os.open(
                path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600
            )
            try:
                found = os.fstat(self._file)
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(None, "it is not a file")
                if found.st_uid != os.geteuid() or found.st_nlink > 1:
                    raise OSError(None, "it belongs to a different user, or has several names")
                os.fchmod(self._file, 0o600)
            except OSError:
                os.close(self._file)
                raise
        except OSError as error:
            raise InvalidInput(
                f"The API log {path} cannot be written: {error.strerror or error}.",
                code="horizon.api_log",
                hint="Set api_log to a file in a folder that the user of the module can write.",
            ) from error
        self._bytes_left = _LONGEST_LOG - found.st_size

    def close(self) -> None:
        """Close the file."""
        file, self._file, self._bytes_left = self._file, -1, 0
        if file >= 0:
            os.close(file)

    def record(self, request: Request, seconds: float, outcome: Response | BaseException) -> None:
        """Append a request that took ``seconds``, and its answer or the reason why there is none."""
        if self._bytes_left <= 0:
            return
        now = datetime.datetime.now(datetime.timezone.utc)
        line: dict[str, Any] = {
            "time": now.isoformat(timespec="milliseconds"),
            "method": request.method,
            "path": request.path,
            "query": self._secrets.hide_in(dict(request.query)),
            "body": self._secrets.hide_in(request.body),
            "milliseconds": round(seconds * 1000),
        }
        if isinstance(outcome, BaseException):
            line["failure"] = self._secrets.hide(f"{type(outcome).__name__}: {outcome}")[:1000]
        else:
            line |= self._answer(request, outcome)
        self._append(json.dumps(line).encode() + b"\n")

    def _answer(self, request: Request, response: Response) -> dict[str, Any]:
        names = [name for name in _HEADERS if response.header(name) is not None]
        found: dict[str, Any] = {
            "status": response.status,
            "headers": {name: self._secrets.hide(response.header(name) or "")[:500] for name in names},
        }
        question = f"{request.method} {request.path} {request.query} {response.status}"
        digest = hashlib.sha256(response.body).digest()
        if request.method == "GET" and self._answers.get(question) == digest:
            return found | {"same_answer": True}
        self._answers[question] = digest
        try:
            answer = self._secrets.hide_in(response.json())
        except ValueError:
            answer = self._secrets.hide_in(response.text())
        text = json.dumps(answer)
        return found | {"answer": answer if len(text) <= _LONGEST_ANSWER else text[:_LONGEST_ANSWER]}

    def _append(self, line: bytes) -> None:
        if len(line) > self._bytes_left:
            line, self._bytes_left = b'{"end": "the log has reached its limit"}\n', 0
        try:
            os.write(self._file, line)
        except OSError:
            self._bytes_left = 0
        else:
            self._bytes_left -= len(line)
