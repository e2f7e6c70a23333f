# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of a push and of a pull, sorted into kinds, and killing a composer at one of them."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.strata.layering.tests.support.registries import Request

_FORK = multiprocessing.get_context("fork")
#: The name in front of all repositories, and what a path means: the first match counts.
PREFIX = "windows"
_DIGEST = "sha256:[0-9a-f]{64}"
_KINDS = (
    ("token", r"/token"),
    ("upload", r"/v2/.+/blobs/uploads/.*"),
    ("blob", r"/v2/.+/blobs/[^/]+"),
    ("claim", r"/v2/.+/catalog/manifests/claim\..+"),
    ("claims", r"/v2/.+/catalog/tags/list"),
    ("entry of the catalog", r"/v2/.+/catalog/manifests/.+"),
    ("list of referrers", r"/v2/.+/manifests/sha256-[0-9a-f]{64}"),
    ("manifest by digest", rf"/v2/.+/manifests/{_DIGEST}"),
    ("tag of the template", r"/v2/.+/templates/.+/manifests/.+"),
    ("tag of a layer", r"/v2/.+/manifests/.+"),
    ("referrers", r"/v2/.+/referrers/.+"),
    ("tags", r"/v2/.+/tags/list"),
    ("version of the API", r"/v2/"),
)
_CHANGES = ("POST", "PATCH", "PUT", "DELETE")
_METHODS = ("HEAD", "GET", *_CHANGES)


@dataclass(frozen=True)
class RequestKind:
    """A kind of request: its method and what its path means. ``count``: how many of them a run makes without a fault."""

    method: str
    subject: str
    count: int = 1

    @property
    def changes(self) -> bool:
        """Return whether the request changes the registry."""
        return self.method in _CHANGES and self.subject != "token"

    @property
    def name(self) -> str:
        """Return the name of the row in the table."""
        return f"{self.method} {self.subject}"

    @property
    def path(self) -> str:
        """Return a regular expression that finds the paths of this kind and of no other kind."""
        before = []
        for subject, pattern in _KINDS:
            if subject == self.subject:
                return f"^{''.join(f'(?!{other}(?:[?]|$))' for other in before)}{pattern}(?:[?]|$)"
            before.append(pattern)
        raise ValueError(self.subject)


def kind_of(method: str, target: str) -> RequestKind:
    """Return the kind of a request. Raises LookupError."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(target).path)
    for subject, pattern in _KINDS:
        if re.fullmatch(pattern, path):
            return RequestKind(method, subject)
    raise LookupError(f"The request {method} {path} has no kind.")


def kinds(journal: Iterable[Request]) -> list[RequestKind]:
    """Return the kinds of the requests in a journal, sorted: blobs are transferred in parallel, in no certain order."""
    counts = Counter(kind_of(entry.method, entry.target) for entry in journal)
    subjects = [subject for subject, _pattern in _KINDS]
    order = sorted(counts, key=lambda kind: (subjects.index(kind.subject), _METHODS.index(kind.method)))
    return [RequestKind(kind.method, kind.subject, counts[kind]) for kind in order]


class RequestKiller:
    """Kills a composer before or after the request with a number, counted among all requests or those of one kind.

    Create it before the composer, and call ``watch`` in its process. After a request means: the answer has arrived, and nothing of
    its body was read.
    """

    def __init__(self, number: int, *, kind: RequestKind | None = None, after: bool) -> None:
        self._number, self._kind, self._after = number, kind, after
        self._count = _FORK.Value("i", 0)
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Return the number of requests so far."""
        return self._count.value

    def watch(self) -> None:
        """Observe all requests of this process."""
        import requests  # pylint: disable=import-outside-toplevel

        send = requests.adapters.HTTPAdapter.send

        def observed(adapter, request, **options):
            with self._lock:
                kind = kind_of(request.method, request.url)
                counts = self._kind is None or (kind.method, kind.subject) == (self._kind.method, self._kind.subject)
                self._count.value += counts
                acts = counts and self._count.value == self._number
                if acts and not self._after:
                    os.killpg(0, signal.SIGKILL)
            answer = send(adapter, request, **options)
            if acts:
                os.killpg(0, signal.SIGKILL)
            return answer

        requests.adapters.HTTPAdapter.send = observed
