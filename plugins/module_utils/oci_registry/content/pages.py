# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that a registry sends in pages, which the header Link connects (RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..connection.exchange import Answer, Request
from ..connection.requester import Requester

_NEXT = re.compile(r'<([^<>]{1,8192})>[^,]*;\s*rel\s*=\s*"?next"?', re.IGNORECASE)
#: The number of pages of a list.
_MOST_PAGES = 1000


def pages_of(requester: Requester, request: Request, *expected: int) -> Iterator[Answer]:
    """Yield the answer to a request, and then its further pages.

    Raises:
        Corrupt: ``oci_registry.answer`` if the list does not end, or leads to a different server.
    """
    seen = set()
    while True:
        answer = requester.answer(request, *expected)
        yield answer
        following = _NEXT.search(answer.header("Link") or "") if answer.status == 200 else None
        if following is None:
            return
        seen.add(request.url)
        url = requester.endpoints.resolve(request.url, following[1], upload=True)
        if url in seen or len(seen) >= _MOST_PAGES:
            raise requester.wrong(request.subject, "its pages do not end")
        if not requester.endpoints.is_own(url):
            raise requester.wrong(request.subject, "its next page is on a different server")
        request = Request("GET", url, request.repository, request.subject, request.scopes, request.headers)
