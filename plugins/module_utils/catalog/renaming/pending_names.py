# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of layers while renames are being carried out: some documents have the former name, others the new name."""

from __future__ import annotations

from collections.abc import Sequence

from ...repository.repository import Repository
from .. import document_collections
from ..kinds import LAYER_KINDS
from ..version_name import VersionName
from .layer_rename import LayerRename


class PendingNames:
    """Replaces former names by new names, so that two documents that name the same layer agree at any time."""

    def __init__(self, renames: Sequence[LayerRename]) -> None:
        self._renames = renames

    @classmethod
    def read(cls, repository: Repository) -> PendingNames:
        """Return the names of a repository; usually no rename is being carried out."""
        return cls(
            [
                LayerRename(
                    kind=LAYER_KINDS[record.kind], name=record.name, new_name=record.new_name, versions=record.versions
                )
                for _name, record in document_collections.renames(repository).all()
                if record.kind in LAYER_KINDS
            ]
        )

    def current(self, kind: str, layer: VersionName) -> VersionName:
        """Return the name that a layer version has, or is getting."""
        for rename in self._renames:
            layer = rename.renamed(kind, layer)
        return layer
