# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of renames: a rename that is interrupted is completed from its journal by the next run that changes the repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import DocumentName, Fields, Stored
from .kinds import RENAME


@dataclass(frozen=True, kw_only=True)
class RenameRecord(Stored):
    """A rename that is being carried out.

    ``kind`` is the kind of document: that of a layer, or image_template. ``versions`` maps the names of the versions of a layer
    to their new names. ``id`` is part of the audit record, so that a resumed rename writes no second record.
    """

    id: str
    kind: str
    name: str
    new_name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    comment: str | None
    started: str

    @property
    def document_name(self) -> str:
        """The name under which the journal is stored."""
        return f"{self.kind}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "id": self.id,
                "kind": self.kind,
                "name": self.name,
                "new_name": self.new_name,
                "versions": dict(self.versions),
                "comment": self.comment,
                "started": self.started,
            }
        )

    @classmethod
    def from_dict(cls, value: object, name: str) -> RenameRecord:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(RENAME, name))
        return cls(
            id=fields.text("id"),
            kind=fields.text("kind"),
            name=fields.text("name"),
            new_name=fields.text("new_name"),
            versions=fields.text_map("versions"),
            comment=fields.text_or_none("comment"),
            started=fields.text("started"),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
