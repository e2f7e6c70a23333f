# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to cancel: a document in the catalog asks the process that publishes a template to stop, on any host."""

from __future__ import annotations

import time

from ..catalog import document_collections
from ..catalog.cancellation_record import CancellationRecord
from ..common.errors import StrataError
from ..common.timestamps import now
from ..repository.repository import Repository

_CHECK_INTERVAL = 1.0


class Canceled(StrataError):
    """An administrator has requested that publishing ends."""

    default_code = "publish.canceled"


def request_cancel(repository: Repository, template: str, comment: str | None) -> None:
    """Ask the process that publishes ``template`` to stop."""
    request = CancellationRecord(template=template, requested=now(), comment=comment)
    document_collections.cancellations(repository).store(template, request)


def clear_cancel(repository: Repository, template: str) -> None:
    """Delete the request; only the holder of the publish lock does that."""
    document_collections.cancellations(repository).remove(template)


class CancelWatch:
    """Looks for the request to cancel a template, at most once a second."""

    def __init__(self, repository: Repository, template: str) -> None:
        self._repository = repository
        self._template = template
        self._checked = 0.0

    def check(self) -> None:
        """Raise Canceled when there is a request."""
        if time.monotonic() - self._checked < _CHECK_INTERVAL:
            return
        self._checked = time.monotonic()
        request = document_collections.cancellations(self._repository).get(self._template)
        if request is not None:
            reason = f": {request.comment}" if request.comment else ""
            raise Canceled(
                f"The publishing of the template {self._template} was canceled at {request.requested}{reason}.",
                code="publish.canceled",
            )
