# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name and version of a layer, as documents and options name a layer version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .fields import Fields, Stored


@dataclass(frozen=True)
class VersionName(Stored):
    """A layer version by name; its kind follows from where it is used."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"name": self.name, "version": self.version})

    @classmethod
    def from_fields(cls, fields: Fields) -> VersionName:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(fields.text("name"), fields.text("version"), unrecognized=fields.unrecognized())


class NamedVersion(Protocol):
    """Anything that names a layer version: VersionName, VersionRequest or LayerReference."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str | None: ...


@dataclass(frozen=True)
class VersionRequest:
    """A layer version that an option names; ``version`` None or "latest" selects the newest deployable version."""

    name: str
    version: str | None
