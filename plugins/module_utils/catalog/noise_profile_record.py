# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of noise profiles: what Windows changes by itself on a disk of an OS layer version, and where this is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..layers.layer_version import LayerReference
from .fields import DocumentName, Fields, Stored
from .kinds import NOISE_PROFILE


@dataclass(frozen=True, kw_only=True)
class NoiseProfileRecord(Stored):
    """The noise profile of an OS layer version.

    ``digest`` and ``size`` (bytes) are those of the blob with the content. ``source`` describes the disk of the
    untouched packaging machine. ``changes`` counts what Windows changed by itself.
    """

    os_layer: LayerReference
    digest: str
    size: int
    source: Mapping[str, object]
    changes: Mapping[str, object]
    created: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "os_layer": self.os_layer.to_dict(),
                "digest": self.digest,
                "size": self.size,
                "source": dict(self.source),
                "changes": dict(self.changes),
                "created": self.created,
            }
        )

    def result(self) -> dict[str, Any]:
        """Return what modules return about a noise profile."""
        return {
            "digest": self.digest,
            "size": self.size,
            "source": dict(self.source),
            "changes": dict(self.changes),
            "created": self.created,
        }

    @classmethod
    def from_dict(cls, value: object, name: str) -> NoiseProfileRecord:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(NOISE_PROFILE, name))
        return cls(
            os_layer=fields.reference("os_layer"),
            digest=fields.digest("digest"),
            size=fields.number("size"),
            source=fields.json("source"),
            changes=fields.json("changes"),
            created=fields.text("created"),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
