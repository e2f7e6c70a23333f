# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's errors for requests that a registry refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...common.errors import Conflict, InvalidInput, NotFound, StrataError, Unavailable
from ..login.hidden_secrets import Secrets
from ..model import RegistryConnection
from .exchange import Answer, Request
from .pacing import retry_after

#: Characters: of a page that is searched for text, and of the text that is shown.
_LONGEST_PAGE, _LONGEST_TEXT = 20_000, 500
_ERRORS_SHOWN = 5
#: What servers of Go answer to a request without TLS.
_WANTS_TLS = "HTTP request to an HTTPS server"
_RATE_LIMIT = re.compile(r"rate limit|too many requests", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer with an error says. ``codes`` are those of the registry; a page of a proxy or gateway has none."""

    status: int
    codes: tuple[str, ...]
    text: str

    @property
    def reason(self) -> str:
        """Return text, codes and status for the end of a message."""
        facts = ", ".join((*self.codes, f"HTTP {self.status}"))
        return f"{self.text} ({facts})" if self.text else facts

    @property
    def unsupported(self) -> bool:
        """Return whether the registry does not offer the request at all."""
        return self.status in (405, 501) or "UNSUPPORTED" in self.codes


def read_refusal(answer: Answer, secrets: Secrets) -> Refusal:
    """Return what an answer with an error says; registries send JSON, gateways send pages."""
    try:
        value = answer.json()
    except ValueError:
        page = re.sub(r"<(style|script)\b[^>]*>[^<]*|<[^>]*>", " ", answer.text()[:_LONGEST_PAGE])
        return Refusal(answer.status, (), _shown([page], secrets))
    if not isinstance(value, dict):
        return Refusal(answer.status, (), "")
    listed = value.get("errors")
    errors = [error for error in listed if isinstance(error, dict)] if isinstance(listed, list) else []
    codes = [error["code"] for error in errors if isinstance(error.get("code"), str)]
    messages = [error.get("message") for error in errors]
    if not any(messages):
        messages = [value.get("message"), value.get("error_description"), value.get("error"), value.get("details")]
    shown = [secrets.hide(code)[:80] for code in dict.fromkeys(codes) if re.fullmatch(r"[A-Za-z0-9_.-]+", code)]
    return Refusal(answer.status, tuple(shown[:_ERRORS_SHOWN]), _shown(messages, secrets))


def is_rate_limit(answer: Answer) -> bool:
    """Return whether a registry limits the rate of requests; GHCR uses the status 403 for its secondary limit."""
    if answer.status == 429:
        return True
    return answer.status == 403 and (
        answer.header("Retry-After") is not None
        or answer.header("X-RateLimit-Remaining") == "0"
        or _RATE_LIMIT.search(answer.text()[:_LONGEST_PAGE]) is not None
    )


def refused(
    request: Request, answer: Answer, connection: RegistryConnection, secrets: Secrets, account: str
) -> StrataError:
    """Return the error for an answer that is not a success; ``account`` names the account in a sentence."""
    refusal = read_refusal(answer, secrets)
    label = f"{connection.label[0].upper()}{connection.label[1:]}"
    facts: dict[str, Any] = {"status": refusal.status, "registry_codes": list(refusal.codes)}
    facts |= {"method": request.method, "repository": request.repository}
    status = refusal.status
    if status == 401:
        return _login(connection, refusal, account, facts)
    if is_rate_limit(answer):
        return Unavailable(
            f"{label} limits the rate of requests for {request.subject}: {refusal.reason}.",
            code="oci_registry.throttled",
            hint="Run this playbook later.",
            retry_after=retry_after(answer.headers),
            **facts,
        )
    if status == 403:
        return Unavailable(
            f"{label} denies {account} the access to {request.subject}: {refusal.reason}.",
            code="oci_registry.forbidden",
            hint=f"Give the account the right to {_right(request.method)} the repository {request.repository}. "
            "Some registries answer so if the project or repository does not exist.",
            **facts,
        )
    if status >= 500:
        return Unavailable(
            f"{label} is not available for {request.subject}: {refusal.reason}.",
            code="oci_registry.unavailable",
            hint="Check the logs of the registry and of its reverse proxy, and run this playbook again.",
            **facts,
        )
    if 300 <= status < 400:
        return Unavailable(
            f"{label} redirects {request.method} requests for {request.subject} (HTTP {status}), which are not followed.",
            code="oci_registry.redirect",
            hint="Set registry to the host to which it redirects.",
            **facts,
        )
    return _state_error(request, refusal, connection, facts)


def _state_error(
    request: Request, refusal: Refusal, connection: RegistryConnection, facts: dict[str, Any]
) -> StrataError:
    label = f"{connection.label[0].upper()}{connection.label[1:]}"
    if refusal.status == 404:
        return NotFound(
            f"{label} did not find {request.subject}: {refusal.reason}.",
            code="oci_registry.not_found",
            hint="Check the path in registry. Some registries need a project or repository that an administrator creates.",
            **facts,
        )
    if refusal.status in (409, 412) or "TAG_IMMUTABLE" in " ".join(refusal.codes).upper():
        return Conflict(
            f"{label} refuses to change {request.subject}: {refusal.reason}.",
            code="oci_registry.immutable",
            hint="Check the rules for immutable tags in the registry.",
            **facts,
        )
    if refusal.status == 413:
        return Unavailable(
            f"{label} refuses {request.subject} as too large: {refusal.reason}.",
            code="oci_registry.too_large",
            hint="Allow larger requests in the reverse proxy of the registry (client_max_body_size), or set a smaller chunk_size_mb.",
            **facts,
        )
    if refusal.status == 400 and connection.plain_http and _WANTS_TLS in refusal.reason:
        return Unavailable(
            f"{label} accepts only connections with TLS.",
            code="oci_registry.tls",
            hint="Set plain_http to false, or correct the port in registry.",
            **facts,
        )
    return Unavailable(
        f"{label} refused the {request.method} request for {request.subject}: {refusal.reason}.",
        code="oci_registry.refused",
        hint="Check the option registry, and the quotas and logs of the registry.",
        **facts,
    )


def _login(connection: RegistryConnection, refusal: Refusal, account: str, facts: dict[str, Any]) -> StrataError:
    if connection.username is None:
        hint = (
            "Set registry_username and registry_password, or REGISTRY_USERNAME and REGISTRY_PASSWORD in the environment of the task, "
            "or check the file of registry_auth_file (podman login)."
        )
    else:
        hint = (
            "Check registry_username and registry_password, or REGISTRY_USERNAME and REGISTRY_PASSWORD in the environment of the task. "
            "Some registries need a robot account or an access token."
        )
    return InvalidInput(
        f"{connection.label[0].upper()}{connection.label[1:]} rejected the login of {account}: {refusal.reason}.",
        code="oci_registry.login",
        hint=hint,
        **facts,
    )


def _right(method: str) -> str:
    return {"GET": "pull from", "HEAD": "pull from", "DELETE": "delete from"}.get(method, "push to")


def _shown(messages: list[Any], secrets: Secrets) -> str:
    texts = [" ".join(message.split()).rstrip(". ") for message in messages if isinstance(message, str)]
    text = "; ".join(dict.fromkeys(text for text in texts[:_ERRORS_SHOWN] if text))
    return secrets.hide("".join(character for character in text if character.isprintable()))[:_LONGEST_TEXT]
