# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canceling: a document in the catalogue tells whoever publishes a template, on whatever host, to stop."""

from __future__ import annotations

import time

from ..catalog.documents import now
from ..common.errors import StrataError
from ..repository.repository import Repository

CANCELLATION = "cancellation"
_INTERVAL = 1.0


class Canceled(StrataError):
    """Somebody wants the publishing to end."""

    default_code = "publish.canceled"


def request_cancel(repository: Repository, template: str, comment: str | None) -> None:
    """Ask the process that publishes ``template`` to stop."""
    repository.catalog.put(CANCELLATION, template, {"template": template, "requested": now(), "comment": comment})


def clear_cancel(repository: Repository, template: str) -> None:
    """Forget that somebody asked; who holds the lock of the publishing does it."""
    repository.catalog.delete(CANCELLATION, template)


class CancelWatch:
    """Looks for the document of a template, at most once a second."""

    def __init__(self, repository: Repository, template: str) -> None:
        self._repository = repository
        self._template = template
        self._looked = 0.0

    def check(self) -> None:
        """Raise Canceled when somebody asked for it."""
        if time.monotonic() - self._looked < _INTERVAL:
            return
        self._looked = time.monotonic()
        found = self._repository.catalog.get(CANCELLATION, self._template)
        if found is not None:
            reason = f": {found['comment']}" if found.get("comment") else ""
            raise Canceled(f"The publishing of {self._template} was canceled at {found['requested']}{reason}.")
