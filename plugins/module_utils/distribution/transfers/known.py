# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository knows of templates from its last transfers."""

from __future__ import annotations

from ...catalog import document_collections
from ...catalog.exchanged_template import ExchangedState, ExchangedTemplate
from ...catalog.kinds import LOCK
from ...repository.repository import Repository
from .decision import Known


def known_templates(repository: Repository, remote: str) -> dict[str, Known]:
    """Return by name what the templates had in common with a remote."""
    found = {}
    for name, document in document_collections.exchanged_templates(repository).all():
        state = document.remotes.get(remote)
        if state is not None:
            found[name] = Known(state.content, state.revision)
    return found


def note_template(repository: Repository, remote: str, name: str, known: Known) -> None:
    """Record what a template has in common with a remote now."""
    documents = document_collections.exchanged_templates(repository)
    with repository.locks.hold(LOCK, purpose=f"note the transfer of the image template {name}"):
        before = documents.get(name) or ExchangedTemplate()
        documents.store(name, before.with_state(remote, ExchangedState(known.content, known.revision)))
