# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the catalogue of a remote: one tag for each layer and template, which names it.

Each entry depends only on what it names. Two composers that add layers at the same time therefore never overwrite each other's
entries, as they would in a single list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import Corrupt, InvalidInput
from ...layers.layer_version import KINDS, check_layer_name
from .artifacts import EMPTY, EMPTY_TYPE, descriptor_of, manifest_bytes
from .names import TEMPLATE, Naming, check_path

ENTRY_TYPE = "application/vnd.strata.catalog.entry.v1+json"
_KIND, _NAME, _PATH = "strata.layering.kind", "org.opencontainers.image.title", "strata.layering.path"
_KINDS = (*KINDS, TEMPLATE)


@dataclass(frozen=True, order=True)
class CatalogEntry:
    """The kind and the name of a layer or template, and its path if that is not derived from its name."""

    kind: str
    name: str
    path: str | None = None

    def tag(self, naming: Naming) -> str:
        """Return the tag of the entry in the repository ``naming.catalog``."""
        return naming.catalog_tag(self.kind, self.name, self.path)

    def to_manifest(self) -> bytes:
        """Return the manifest; equal entries give equal bytes."""
        notes = {_KIND: self.kind, _NAME: self.name} | ({_PATH: self.path} if self.path else {})
        return manifest_bytes(ENTRY_TYPE, descriptor_of(EMPTY, EMPTY_TYPE), annotations=notes)

    @staticmethod
    def is_tag(tag: str, naming: Naming) -> bool:
        """Return whether a tag of the repository ``naming.catalog`` is that of an entry."""
        if naming.flat:
            return tag.startswith("catalog.")
        return tag.partition(".")[0] in _KINDS

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], where: str) -> CatalogEntry:
        """Read an untrusted manifest; ``where`` is its tag in messages.

        Raises:
            Corrupt: ``distribution.catalog_entry``.
        """
        notes = manifest.get("annotations", {})
        kind, name, path = notes.get(_KIND), notes.get(_NAME), notes.get(_PATH)
        try:
            if manifest.get("artifactType") == ENTRY_TYPE and kind in _KINDS:
                return cls(kind, check_layer_name(name), check_path(path))
        except InvalidInput:
            pass
        raise Corrupt(
            f"The catalogue entry {where} is damaged.",
            code="distribution.catalog_entry",
            hint="Push the layer or image template again from a repository that has it, or delete this tag.",
            digest=manifest["digest"],
        )
