# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to cancel the publishing of a template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import DocumentName, Fields, Stored
from .kinds import CANCELLATION


@dataclass(frozen=True, kw_only=True)
class CancellationRecord(Stored):
    """A request to cancel: when it was made (``requested``), and the comment of who made it."""

    template: str
    requested: str
    comment: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"template": self.template, "requested": self.requested, "comment": self.comment})

    @classmethod
    def from_dict(cls, value: object, name: str) -> CancellationRecord:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(CANCELLATION, name))
        return cls(
            template=fields.text("template"),
            requested=fields.text("requested"),
            comment=fields.later("comment", fields.text_or_none, None),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
