# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stored manifest refers to: blobs, manifests, and the manifest that it describes.

Source: OCI image-spec, manifest.md and image-index.md. Manifests of docker have the same fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import Corrupt
from ...repository.blobs import Descriptor

_MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class ManifestContent:
    """The content of a manifest.

    ``listed`` are the blobs of an image manifest, its config first, or the manifests of an image index. ``subject`` is the
    digest of the manifest that it describes.
    """

    media_type: str | None
    artifact_type: str
    is_index: bool
    listed: tuple[Descriptor, ...]
    subject: str | None
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, data: bytes, subject: str) -> ManifestContent:
        """Read an untrusted manifest; ``subject`` begins the error message.

        Raises:
            Corrupt: ``distribution.layout_manifest``.
        """
        try:
            document = json.loads(data)
            if not isinstance(document, dict):
                raise ValueError
            is_index = "manifests" in document
            items = document["manifests"] if is_index else [document["config"], *document["layers"]]
            if not isinstance(items, list) or len(items) > _MAX_LISTED:
                raise ValueError
            described = Descriptor.from_json(document["subject"]).digest if document.get("subject") else None
            return cls(
                _text_or_none(document.get("mediaType")),
                _artifact_type(document, is_index),
                is_index,
                tuple(Descriptor.from_json(item) for item in items),
                described,
                texts(document.get("annotations") or {}),
            )
        except (ValueError, KeyError, TypeError, RecursionError, Corrupt):
            raise Corrupt(
                f"{subject} is not an image manifest or image index.",
                code="distribution.layout_manifest",
                hint="Copy or push the layer version again from a repository that has it.",
            ) from None


def digest_of(data: bytes) -> str:
    """Return the digest of the bytes of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def texts(value: object) -> dict[str, str]:
    """Return untrusted annotations; ValueError unless it is an object of texts."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError
    return value


def _artifact_type(document: Mapping[str, Any], is_index: bool) -> str:
    """Return the type that lists of referrers show: that of the config, unless the manifest has a type of its own."""
    own = _text_or_none(document.get("artifactType"))
    return own or ("" if is_index else Descriptor.from_json(document["config"]).media_type)


def _text_or_none(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError
    return value
