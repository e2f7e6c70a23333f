# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completing renames that were interrupted."""

from __future__ import annotations

import contextlib

from ...common.errors import StrataError
from ...repository.repository import Repository
from .. import document_collections
from ..kinds import LAYER_KINDS, RENAME, TEMPLATE
from ..rename_record import RenameRecord
from . import layer_renaming, template_renaming


def complete_renames(repository: Repository) -> None:
    """Complete the renames that a killed run left, unless another run is carrying them out or uses the names.

    A rename that cannot be completed now, for example because a document is damaged, is left to a later run.
    """
    if not repository.catalog.names(RENAME):
        return
    for _name, record in document_collections.renames(repository).all():
        with contextlib.suppress(StrataError):
            _complete(repository, record)


def _complete(repository: Repository, record: RenameRecord) -> None:
    renames = document_collections.renames(repository)
    if record.kind == TEMPLATE:
        with template_renaming.template_locks(repository, record.name, record.new_name, timeout=0):
            if renames.get(record.document_name) is not None:
                template_renaming.carry_out(repository, record)
    elif record.kind in LAYER_KINDS:
        with layer_renaming.rename_locks(repository, layer_renaming.rename_of(record), timeout=0):
            if renames.get(record.document_name) is not None:
                layer_renaming.carry_out(repository, record)
