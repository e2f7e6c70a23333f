# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of a layer version or an image template, as documents name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import Fields, Stored


@dataclass(frozen=True)
class ScriptRecord(Stored):
    """A script by its name in the image; ``digest`` and ``size`` (bytes) are those of its blob."""

    name: str
    digest: str
    size: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"name": self.name, "digest": self.digest, "size": self.size})

    @classmethod
    def from_fields(cls, fields: Fields) -> ScriptRecord:
        """Read the JSON object; Corrupt names the field that is damaged."""
        name, digest, size = fields.text("name"), fields.text("digest"), fields.number("size")
        return cls(name, digest, size, unrecognized=fields.unrecognized())

    @classmethod
    def read(cls, fields: Fields, key: str = "script") -> ScriptRecord | None:
        """Read the field ``key`` of a document, which may be null."""
        found = fields.record_or_none(key)
        return cls.from_fields(found) if found is not None else None
