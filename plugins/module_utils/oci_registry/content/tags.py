# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags of a repository."""

from __future__ import annotations

from ..connection.exchange import Answer, Request
from ..connection.requester import Requester
from ..login import scopes
from ..model import is_tag
from .pages import pages_of

#: Tags of a page, and of a repository.
_PAGE_SIZE, _MOST_TAGS = 1000, 500_000


def tags_of(requester: Requester, repository: str) -> list[str]:
    """Return all tags of a repository, sorted; an empty list if the repository does not exist.

    Some registries ignore the size of a page, other registries send pages without a Link: then the list is asked for the tags behind
    the last tag until nothing new arrives.

    Raises:
        Corrupt: ``oci_registry.answer`` for a list that is not valid or does not end; and as ``Requester.answer``.
    """
    found: dict[str, None] = {}
    query = {"n": str(_PAGE_SIZE)}
    while True:
        known, page = len(found), 0
        request = _request(requester, repository, query)
        for answer in pages_of(requester, request, 200, 404):
            if answer.status == 404:
                return sorted(found)
            tags = _tags_in(requester, request, answer)
            page = len(tags)
            found.update(dict.fromkeys(tags))
            if len(found) > _MOST_TAGS:
                raise requester.wrong(request.subject, f"it has more than {_MOST_TAGS} tags")
        if page != _PAGE_SIZE or len(found) == known:
            return sorted(tag for tag in found if is_tag(tag))
        query = {"n": str(_PAGE_SIZE), "last": list(found)[-1]}


def _request(requester: Requester, repository: str, query: dict[str, str]) -> Request:
    url = requester.endpoints.tags(repository, query)
    return Request("GET", url, repository, f"the tags of {repository}", scopes.pull(repository))


def _tags_in(requester: Requester, request: Request, answer: Answer) -> list[str]:
    try:
        value = answer.json()
    except ValueError:
        raise requester.wrong(request.subject, "it is not JSON") from None
    tags = value.get("tags") if isinstance(value, dict) else ()
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise requester.wrong(request.subject, "it has no list of tags")
    return tags
