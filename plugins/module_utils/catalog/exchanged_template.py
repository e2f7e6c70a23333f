# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a template had in common with remotes after the last transfer: it shows which side has changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import DocumentName, Fields, Stored
from .kinds import EXCHANGED_TEMPLATE


@dataclass(frozen=True)
class ExchangedState(Stored):
    """The content (a digest) and the revision of a template when it was the same at both sides."""

    content: str
    revision: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"content": self.content, "revision": self.revision})

    @classmethod
    def from_fields(cls, fields: Fields) -> ExchangedState:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(fields.digest("content"), fields.number("revision"), unrecognized=fields.unrecognized())


@dataclass(frozen=True, kw_only=True)
class ExchangedTemplate(Stored):
    """The states of a template by remote."""

    remotes: Mapping[str, ExchangedState] = field(default_factory=dict)

    def with_state(self, remote: str, state: ExchangedState) -> ExchangedTemplate:
        """Return the document with another state for a remote."""
        return dataclasses.replace(self, remotes={**self.remotes, remote: state})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"remotes": {remote: state.to_dict() for remote, state in self.remotes.items()}})

    @classmethod
    def from_dict(cls, value: object, name: str) -> ExchangedTemplate:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(EXCHANGED_TEMPLATE, name))
        return cls(
            remotes={
                remote: ExchangedState.from_fields(state) for remote, state in fields.record_map("remotes").items()
            },
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
