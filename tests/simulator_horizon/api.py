# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the REST API: the contract, the access token and the handler."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon import (  # they register their handlers
    config_operations,
    image_operations,
    member_operations,
)
from ansible_collections.strata.layering.tests.simulator_horizon.contract import Contract, Operation
from ansible_collections.strata.layering.tests.simulator_horizon.errors import THROTTLED, ApiError, error_body
from ansible_collections.strata.layering.tests.simulator_horizon.operations import HANDLERS, Answer, Call, privileged
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod

#: The modules that register handlers.
REGISTERED = (config_operations, image_operations, member_operations)
PREFIX = "/rest"
_WITHOUT_TOKEN = {"POST /login", "POST /refresh", "POST /logout"}


@dataclass
class Request:
    """A request: the path is below /rest, ``raw`` is the body."""

    method: str
    path: str
    query: dict[str, str]
    raw: bytes = b""
    authorization: str = ""
    #: Requests of the control endpoint need no access token.
    trusted: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def body(self) -> Any:
        """The JSON body, or None."""
        return json.loads(self.raw) if self.raw else None


class Api:
    """Answers requests. What contradicts the contract is listed in the request's ``problems``.

    A wrong request is answered with 400. A wrong answer of the simulator becomes the status 599, so that it cannot drift
    away from the contract.
    """

    def __init__(self, pod: Pod, contract: Contract) -> None:
        self.pod = pod
        self.contract = contract
        self._every_version = Contract.load()
        self._second = 0
        self._requests = 0

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        with self.pod.lock:
            self.pod.timeline.run()
            return self.answer_now(request)

    def answer_now(self, request: Request) -> Answer:
        """Answer a request at the time that the timeline has reached."""
        operation: Operation | None = None
        try:
            operation, arguments = self._operation(request)
            answer = self._handle(request, operation, arguments)
            answer.body = operation.fill(answer.body, answer.status)
        except ApiError as error:
            body = error_body(error.status, error.key, error.message, self.pod.timeline.now)
            answer = Answer(error.status, body, error.headers)
        # A status that comes from a defect of the simulator or its surroundings is not one of the contract.
        if operation is not None and answer.status != 500:
            wrong = operation.check_response(answer.status, answer.body)
            if wrong and not request.problems:
                request.problems += [f"answer {problem}" for problem in wrong]
                return Answer(599, {"simulator": wrong})
        return answer

    def act(self, call: dict[str, Any]) -> Answer:
        """Carry out a request of another administrator: method, path, query, body. The journal shows its actor."""
        request = Request(call["method"], call["path"], call.get("query") or {}, trusted=True)
        request.raw = b"" if call.get("body") is None else json.dumps(call["body"]).encode()
        started = time.monotonic()
        with self.pod.lock:
            answer = self.answer_now(request)
        self.record(request, answer, None, started, actor="other")
        return answer

    def record(
        self, request: Request, answer: Answer | None, rule: int | None, started: float, actor: str = "client"
    ) -> None:
        """Add a request to the journal; without an answer its connection was cut."""
        try:
            body = request.body
        except ValueError:
            body = f"{len(request.raw)} bytes that are not JSON"
        self.pod.journal.add(
            {
                "actor": actor,
                "time": self.pod.timeline.now,
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "body": body,
                "status": None if answer is None else answer.status,
                "problems": request.problems,
                "rule": rule,
                "seconds": round(time.monotonic() - started, 4),
            }
        )

    def _operation(self, request: Request) -> tuple[Operation, dict[str, str]]:
        found = self.contract.match(request.method, request.path)
        if found is None:
            # To ask for a path of a later version is legitimate.
            if self._every_version.match(request.method, request.path) is None:
                request.problems.append("path: is not in the contract")
            raise ApiError(404, "common.not.found", "The resource was not found.")
        return found

    def _handle(self, request: Request, operation: Operation, arguments: dict[str, str]) -> Answer:
        name = f"{operation.method} {operation.path}"
        self._throttle()
        if name not in _WITHOUT_TOKEN and not request.trusted:
            user = self.pod.tokens.user(request.authorization.removeprefix("Bearer "))
            if user.read_only and privileged(name):
                raise ApiError(403, "common.permission.denied", "The user lacks a privilege.")
        try:
            body = request.body
        except ValueError:
            request.problems.append("body: is not JSON")
            raise ApiError(400, "common.json.invalid", "The body is not JSON.") from None
        request.problems += operation.check_request(request.query, body)
        if request.problems:
            raise ApiError(400, "simulator.contract", "; ".join(request.problems))
        handler = HANDLERS.get(name)
        if handler is None:
            raise ApiError(500, "simulator.missing", f"The simulator does not have {name}.")
        return handler(self.pod, Call(arguments, request.query, body, operation.filters))

    def _throttle(self) -> None:
        limit = self.pod.settings.requests_per_second
        if limit <= 0:
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._requests = second, 0
        self._requests += 1
        if self._requests > limit:
            headers = {"X-Rate-Limit-Retry-After-Seconds": "1"}
            raise ApiError(429, THROTTLED, "API throttle limit exceeded.", headers)
