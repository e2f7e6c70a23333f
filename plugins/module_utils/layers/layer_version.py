# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer version is: kinds, statuses, names, the order of versions, and its OCI manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..common.errors import Corrupt, InvalidInput, Unsupported

OS = "os"
APP = "app"
PLATFORM = "platform"
KINDS = (OS, APP, PLATFORM)

EDITING = "Editing"
FINALIZING = "Finalizing"
DEPLOYABLE = "Deployable"
DELETING = "Deleting"
BROKEN = "Broken"
STATUSES = (EDITING, FINALIZING, DEPLOYABLE, DELETING, BROKEN)

ARTIFACT_TYPE = "application/vnd.strata.layer.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.strata.layer.config.v1+json"
#: Annotation of each blob of a manifest: what it is to the layer version.
ROLE = "strata.layering.role"
SCHEMA_VERSION = 1

ROLE_ARCHIVE = "archive"
ROLE_INDEX = "index"
ROLE_ICON = "icon"
ROLE_DISK = "disk"
ROLE_GRAINS = "grains"
ROLE_SCRIPT = "script"

MAX_NAME = 100
MAX_VERSION = 50
MAX_DESCRIPTION = 4000
PRIORITIES = range(1_000_000)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}\.(cmd|bat|ps1)")
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,40}")
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_BEFORE_RELEASE = {"dev": 1, "alpha": 2, "beta": 3, "pre": 4, "preview": 4, "rc": 5}


def check_kind(kind: str) -> str:
    """``kind`` if it is os, app or platform, else InvalidInput."""
    if kind not in KINDS:
        raise InvalidInput(
            f"{str(kind)[:40]!r} is not a kind of layer.", code="layers.kind", hint=f"It is one of {', '.join(KINDS)}."
        )
    return kind


def check_layer_name(name: str, what: str = "layer name") -> str:
    """``name`` if a layer, or another thing that is named by the same rules (``what``), can have it, else InvalidInput."""
    return _check_text(name, MAX_NAME, what)


def check_version_name(version: str) -> str:
    """``version`` if a layer version can have it, else InvalidInput. ``latest`` is not a name but a question."""
    _check_text(version, MAX_VERSION, "version")
    if version.lower() == "latest":
        raise InvalidInput(
            "'latest' cannot name a version.",
            code="layers.version",
            hint="Give the version its own name; 'latest' means the highest one.",
        )
    return version


def _check_text(text: str, bound: int, what: str) -> str:
    if (
        not isinstance(text, str)
        or not 0 < len(text) <= bound
        or not text.isprintable()
        or text != text.strip()
        or "/" in text
        or "\\" in text
    ):
        raise InvalidInput(
            f"{str(text)[:60]!r} cannot be used as a {what}.",
            code="layers.name",
            hint=f"Use 1 to {bound} printable characters, no slash or backslash, no spaces at the ends.",
        )
    return text


def check_description(text: str | None, what: str = "description") -> str:
    """``text`` (None is none) if it is a description, else InvalidInput."""
    text = text or ""
    if (
        not isinstance(text, str)
        or len(text) > MAX_DESCRIPTION
        or not all(c.isprintable() or c in "\n\t" for c in text)
    ):
        raise InvalidInput(
            f"The {what} is too long or holds control characters.",
            code="layers.description",
            hint=f"Use at most {MAX_DESCRIPTION} characters.",
        )
    return text


def check_script_name(name: str) -> str:
    """``name`` if a script in an image can have it, else InvalidInput."""
    if not isinstance(name, str) or not _SCRIPT.fullmatch(name):
        raise InvalidInput(
            f"{str(name)[:60]!r} cannot be the name of a script.",
            code="layers.script",
            hint="It is at most 64 letters, digits, dots, dashes and underscores, and ends in .cmd, .bat or .ps1.",
        )
    return name


def version_key(version: str) -> tuple:
    """Sort key of versions in their natural order.

    A version is read as numbers and words, whatever separates them, and compared part by part:
    numbers by value (1.9 < 1.10, 2024-02 < 2024-11), words without regard to case, a word before a
    number. What goes on comes after what ends (1.0 < 1.0.1, 1.0 < 1.0a), except for dev, alpha, beta,
    pre, preview and rc, which come before it (1.0-rc1 < 1.0). A leading v before a number does not
    count. Versions equal so far are ordered by their text, so the order is total.
    """
    tokens = _TOKEN.findall(version.lower())
    if len(tokens) > 1 and tokens[0] == "v" and tokens[1].isdecimal():
        del tokens[0]
    parts: list[tuple[int, int, str]] = []
    for token in tokens:
        if token.isdecimal():
            parts.append((3, int(token), ""))
        elif token in _BEFORE_RELEASE:
            parts.append((0, _BEFORE_RELEASE[token], ""))
        else:
            parts.append((2, 0, token))
    return (*parts, (1, 0, "")), version


class Blob(NamedTuple):
    """A blob of a layer version; the same shape as the repository's descriptors."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class LayerReference:
    """Names one layer version from another, by name and by the digest it had then."""

    kind: str
    name: str
    version: str
    digest: str

    def to_dict(self) -> dict:
        """For JSON."""
        return {"kind": self.kind, "name": self.name, "version": self.version, "digest": self.digest}

    @classmethod
    def from_dict(cls, value: object) -> LayerReference:
        """From untrusted JSON; Corrupt when it is not one."""
        try:
            reference = cls(value["kind"], value["name"], value["version"], value["digest"])
            check_kind(reference.kind)
            check_layer_name(reference.name)
            check_version_name(reference.version)
            if not _DIGEST.fullmatch(reference.digest):
                raise _damaged()
        except (KeyError, TypeError, InvalidInput):
            raise _damaged() from None
        return reference


@dataclass
class LayerVersion:
    """One version of one layer. What is here is immutable and goes into its digest.

    (Status, times and who made it belong to the catalogue.) ``priority`` orders app layers;
    ``script`` is the name of the script that runs once in an image, whose blob has the role script; ``size_gb`` the disk size of an OS layer;
    ``content_digest`` names what the layer does, for comparing, whatever compressor stored it;
    ``statistics`` counts files and bytes; ``facts`` are the offline facts of an OS layer, JSON.
    ``blobs`` maps roles to blobs. ``digest`` is the manifest's, None until it is stored.
    """

    kind: str
    name: str
    version: str
    description: str = ""
    version_description: str = ""
    os_layer: LayerReference | None = None
    prerequisites: list[LayerReference] = field(default_factory=list)
    priority: int | None = None
    script: str | None = None
    size_gb: int | None = None
    content_digest: str | None = None
    statistics: dict[str, int] = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    digest: str | None = None

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_layer_name(self.name)
        check_version_name(self.version)
        self.description = check_description(self.description)
        self.version_description = check_description(self.version_description, "version description")
        if self.priority is not None and (self.priority.__class__ is not int or self.priority not in PRIORITIES):
            raise InvalidInput(
                f"The priority {self.priority!r} is not between 0 and {PRIORITIES[-1]}.", code="layers.priority"
            )
        if self.script is not None:
            check_script_name(self.script)
        if self.content_digest is not None and (
            not isinstance(self.content_digest, str) or not _DIGEST.fullmatch(self.content_digest)
        ):
            raise InvalidInput("The content digest is not a SHA-256 digest.", code="layers.digest")

    def reference(self) -> LayerReference:
        """How others name this version; it must have been stored."""
        if self.digest is None:
            raise InvalidInput(
                f"The layer version {self.name} {self.version} has not been stored yet.", code="layers.digest"
            )
        return LayerReference(self.kind, self.name, self.version, self.digest)

    def config(self) -> dict:
        """The document that the manifest's config blob holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "version_description": self.version_description,
            "os_layer": self.os_layer.to_dict() if self.os_layer else None,
            "prerequisites": [reference.to_dict() for reference in self.prerequisites],
            "priority": self.priority,
            "script": self.script,
            "size_gb": self.size_gb,
            "content_digest": self.content_digest,
            "statistics": self.statistics,
            "facts": self.facts,
        }

    def annotations(self) -> dict[str, str]:
        """Annotations of the manifest."""
        found = {"org.opencontainers.image.title": self.name, "org.opencontainers.image.version": self.version}
        if self.description:
            found["org.opencontainers.image.description"] = self.description
        if self.os_layer:
            found["org.opencontainers.image.base.name"] = f"{self.os_layer.name} {self.os_layer.version}"
            found["org.opencontainers.image.base.digest"] = self.os_layer.digest
        return found

    @classmethod
    def from_documents(cls, manifest: Mapping, config: object) -> LayerVersion:
        """A version out of its manifest (with ``digest``) and config, both untrusted; Corrupt when they are not well formed."""
        if (
            manifest.get("artifactType") != ARTIFACT_TYPE
            or manifest.get("config", {}).get("mediaType") != CONFIG_MEDIA_TYPE
        ):
            raise Unsupported(
                f"The manifest {manifest.get('digest')} is not a layer version.", code="layers.artifact_type"
            )
        if not isinstance(config, dict) or config.get("schema_version").__class__ is not int:
            raise _damaged()
        if config["schema_version"] > SCHEMA_VERSION:
            raise Unsupported(
                f"The layer version {manifest.get('digest')} was made by a newer version of the collection.",
                code="layers.schema",
                hint="Update the collection strata.layering on this composer.",
            )
        try:
            statistics, facts, prerequisites = config["statistics"], config["facts"], config["prerequisites"]
            if not isinstance(statistics, dict) or not isinstance(facts, dict) or not isinstance(prerequisites, list):
                raise _damaged()
            if any(value.__class__ is not int for value in statistics.values()) or config["size_gb"].__class__ not in (
                int,
                type(None),
            ):
                raise _damaged()
            return cls(
                config["kind"],
                config["name"],
                config["version"],
                config["description"],
                config["version_description"],
                LayerReference.from_dict(config["os_layer"]) if config["os_layer"] is not None else None,
                [LayerReference.from_dict(item) for item in prerequisites],
                config["priority"],
                config["script"],
                config["size_gb"],
                config["content_digest"],
                statistics,
                facts,
                _blobs(manifest["layers"]),
                manifest.get("digest"),
            )
        except (KeyError, TypeError, InvalidInput):
            raise _damaged() from None


def _blobs(layers: object) -> dict[str, Blob]:
    found: dict[str, Blob] = {}
    for item in layers if isinstance(layers, list) else ():
        role = item.get("annotations", {}).get(ROLE)
        if not isinstance(role, str) or not _ROLE.fullmatch(role) or role in found:
            raise _damaged()
        found[role] = Blob(item["mediaType"], item["digest"], item["size"])
    return found


def _damaged() -> Corrupt:
    return Corrupt(
        "The description of a layer version is damaged.",
        code="layers.corrupt",
        hint="Verify the repository, then fetch or build the version again.",
    )
