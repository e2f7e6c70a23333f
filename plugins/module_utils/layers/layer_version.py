# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions: kinds, names, the order of versions, and the OCI manifest that describes a version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..common.errors import Corrupt, InternalError, InvalidInput, Unsupported

OS = "os"
APP = "app"
PLATFORM = "platform"
KINDS = (OS, APP, PLATFORM)

DEPLOYABLE = "Deployable"

ARTIFACT_TYPE = "application/vnd.strata.layer.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.strata.layer.config.v1+json"
#: Annotation of each blob of a manifest: its role in the layer version.
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
    """Return ``kind`` if it is os, app or platform, else raise InvalidInput layers.kind."""
    if kind not in KINDS:
        raise InvalidInput(
            f"{str(kind)[:40]!r} is not a kind of layer.",
            code="layers.kind",
            hint=f"Set the kind to {', '.join(KINDS[:-1])} or {KINDS[-1]}.",
        )
    return kind


def check_layer_name(name: str, subject: str = "layer name") -> str:
    """Return ``name`` if a layer can have it, else raise InvalidInput layers.name.

    Other objects follow the same rules; ``subject`` then describes the name in the message.
    """
    return _check_text(name, MAX_NAME, subject)


def check_version_name(version: str) -> str:
    """Return ``version`` if a layer version can have it, else raise InvalidInput layers.name or layers.version."""
    _check_text(version, MAX_VERSION, "version")
    if version.lower() == "latest":
        raise InvalidInput(
            "'latest' cannot be used as a version name: it selects the newest version.",
            code="layers.version",
            hint="Set the option version to the version number of the software.",
        )
    return version


def _check_text(text: str, bound: int, subject: str) -> str:
    if (
        not isinstance(text, str)
        or not 0 < len(text) <= bound
        or not text.isprintable()
        or text != text.strip()
        or "/" in text
        or "\\" in text
    ):
        raise InvalidInput(
            f"{str(text)[:60]!r} cannot be used as a {subject}.",
            code="layers.name",
            hint=f"Use 1 to {bound} printable characters, without slash or backslash and without spaces at the ends.",
        )
    return text


def check_description(text: str | None, subject: str = "description") -> str:
    """Return ``text`` (empty for None) if it is a valid description, else raise InvalidInput layers.description."""
    text = text or ""
    if (
        not isinstance(text, str)
        or len(text) > MAX_DESCRIPTION
        or not all(c.isprintable() or c in "\n\t" for c in text)
    ):
        raise InvalidInput(
            f"The {subject} is longer than {MAX_DESCRIPTION} characters or contains control characters.",
            code="layers.description",
            hint=f"Shorten the {subject} to {MAX_DESCRIPTION} printable characters, line breaks and tabs.",
        )
    return text


def check_script_name(name: str) -> str:
    """Return ``name`` if a script in an image can have it, else raise InvalidInput layers.script."""
    if not isinstance(name, str) or not _SCRIPT.fullmatch(name):
        raise InvalidInput(
            f"{str(name)[:60]!r} cannot be used as the name of a script.",
            code="layers.script",
            hint="Use at most 64 letters, digits, dots, dashes and underscores, ending in .cmd, .bat or .ps1.",
        )
    return name


def version_key(version: str) -> tuple:
    """Return the sort key of a version in natural order.

    A version is split into numbers and letters, at any separator, and compared part by part:
    numbers by value (1.9 < 1.10, 2024-02 < 2024-11), letters without regard to case, letters before
    numbers. A version that continues is greater than a version that ends (1.0 < 1.0.1, 1.0 < 1.0a),
    except for dev, alpha, beta, pre, preview and rc, which are less (1.0-rc1 < 1.0). A leading v
    before a number is ignored. Versions that are equal by these rules are ordered by their text.
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
    """A blob of a layer version, with the fields of the repository's descriptors."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class LayerReference:
    """A reference to a layer version: by name, and by the digest that the version had at that time."""

    kind: str
    name: str
    version: str
    digest: str

    @property
    def label(self) -> str:
        """The name of the layer version in messages, such as "app layer Tool 2.1"."""
        return f"{self.kind} layer {self.name} {self.version}"

    def to_dict(self) -> dict[str, str]:
        """Return the reference as a JSON object."""
        return {"kind": self.kind, "name": self.name, "version": self.version, "digest": self.digest}

    @classmethod
    def from_dict(cls, value: object) -> LayerReference:
        """Read a reference from untrusted JSON.

        Raises:
            Corrupt layers.corrupt: a field is missing or invalid; the message names it.
        """
        subject = "A reference to a layer version"
        if not isinstance(value, dict):
            raise _damaged(subject, "it is not an object")
        for name in ("kind", "name", "version", "digest"):
            if name not in value:
                raise _damaged(subject, f"the field {name} is missing")
        try:
            check_kind(value["kind"])
            check_layer_name(value["name"])
            check_version_name(value["version"])
        except InvalidInput as error:
            raise _damaged(subject, error.message.rstrip(".")) from None
        if not isinstance(value["digest"], str) or not _DIGEST.fullmatch(value["digest"]):
            raise _damaged(subject, "the field digest is not a SHA-256 digest")
        return cls(value["kind"], value["name"], value["version"], value["digest"])


@dataclass
class LayerVersion:
    """A version of a layer. Its fields are immutable and part of its digest.

    Status, times and author belong to the catalog. ``priority`` orders app layers; ``script`` is the
    name of the script that runs once in an image, whose blob has the role script; ``size_gb`` is the
    disk size of an OS layer in GiB; ``content_digest`` identifies the effect of the layer, independent
    of the compressor that stored it; ``statistics`` counts files and bytes; ``facts`` are the offline
    facts of an OS layer, JSON. ``blobs`` maps roles to blobs. ``digest`` is the digest of the manifest,
    None until the version is stored.
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
    facts: dict[str, Any] = field(default_factory=dict)
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
                f"The priority {self.priority!r} is out of range.",
                code="layers.priority",
                hint=f"Set the option priority to a number between 0 and {PRIORITIES[-1]}.",
            )
        if self.script is not None:
            check_script_name(self.script)
        if self.content_digest is not None and (
            not isinstance(self.content_digest, str) or not _DIGEST.fullmatch(self.content_digest)
        ):
            raise InternalError(
                f"The content digest of {self.label} is not a SHA-256 digest.", code="layers.content_digest"
            )

    @property
    def label(self) -> str:
        """The name of the layer version in messages, such as "app layer Tool 2.1"."""
        return f"{self.kind} layer {self.name} {self.version}"

    def reference(self) -> LayerReference:
        """Return the reference to this version, which must have been stored."""
        if self.digest is None:
            raise InternalError(f"The {self.label} has not been stored yet.", code="layers.not_stored")
        return LayerReference(self.kind, self.name, self.version, self.digest)

    def config(self) -> dict[str, Any]:
        """Return the document that the config blob of the manifest holds."""
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
        """Return the annotations of the manifest."""
        annotations = {"org.opencontainers.image.title": self.name, "org.opencontainers.image.version": self.version}
        if self.description:
            annotations["org.opencontainers.image.description"] = self.description
        if self.os_layer:
            annotations["org.opencontainers.image.base.name"] = f"{self.os_layer.name} {self.os_layer.version}"
            annotations["org.opencontainers.image.base.digest"] = self.os_layer.digest
        return annotations

    @classmethod
    def from_documents(cls, manifest: Mapping[str, Any], config: object) -> LayerVersion:
        """Read a version from its manifest (with ``digest``) and config, both untrusted.

        Raises:
            Corrupt layers.corrupt: a field is missing or invalid; the message names it.
            Unsupported layers.artifact_type: the manifest does not describe a layer version.
            Unsupported layers.schema: a newer version of the collection stored it.
        """
        digest = manifest.get("digest")
        if (
            manifest.get("artifactType") != ARTIFACT_TYPE
            or manifest.get("config", {}).get("mediaType") != CONFIG_MEDIA_TYPE
        ):
            raise Unsupported(
                f"The manifest {digest} is not a layer version.",
                code="layers.artifact_type",
                hint="Verify the repository, then fetch or build the layer version again.",
            )
        subject = f"The description of the layer version {digest}"
        if not isinstance(config, dict) or config.get("schema_version").__class__ is not int:
            raise _damaged(subject, "the field schema_version is missing or not a number")
        if config["schema_version"] > SCHEMA_VERSION:
            raise Unsupported(
                f"The layer version {digest} has the schema version {config['schema_version']}; version {SCHEMA_VERSION} is supported.",
                code="layers.schema",
                hint="Update the collection strata.layering on this composer.",
            )
        _check_types(subject, config)
        try:
            return cls(
                config["kind"],
                config["name"],
                config["version"],
                config["description"],
                config["version_description"],
                LayerReference.from_dict(config["os_layer"]) if config["os_layer"] is not None else None,
                [LayerReference.from_dict(item) for item in config["prerequisites"]],
                config["priority"],
                config["script"],
                config["size_gb"],
                config["content_digest"],
                config["statistics"],
                config["facts"],
                _blobs(subject, manifest["layers"]),
                digest,
            )
        except (InvalidInput, InternalError) as error:
            raise _damaged(subject, error.message.rstrip(".")) from None


#: The types of the fields of a version's config.
_CONFIG_FIELDS: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "name": (str,),
    "version": (str,),
    "description": (str,),
    "version_description": (str,),
    "os_layer": (dict, type(None)),
    "prerequisites": (list,),
    "priority": (int, type(None)),
    "script": (str, type(None)),
    "size_gb": (int, type(None)),
    "content_digest": (str, type(None)),
    "statistics": (dict,),
    "facts": (dict,),
}


def _check_types(subject: str, config: dict[str, Any]) -> None:
    for name, kinds in _CONFIG_FIELDS.items():
        if name not in config:
            raise _damaged(subject, f"the field {name} is missing")
        if config[name].__class__ not in kinds:
            raise _damaged(subject, f"the field {name} is invalid")
    if any(value.__class__ is not int for value in config["statistics"].values()):
        raise _damaged(subject, "the field statistics is invalid")


def _blobs(subject: str, layers: object) -> dict[str, Blob]:
    blobs: dict[str, Blob] = {}
    for item in layers if isinstance(layers, list) else ():
        try:
            role = item["annotations"][ROLE]
            blob = Blob(item["mediaType"], item["digest"], item["size"])
        except (KeyError, TypeError):
            raise _damaged(subject, "a blob has no role, media type, digest or size") from None
        if not isinstance(role, str) or not _ROLE.fullmatch(role) or role in blobs:
            raise _damaged(subject, f"the role {str(role)[:40]!r} of a blob is invalid or used twice")
        blobs[role] = blob
    return blobs


def _damaged(subject: str, problem: str) -> Corrupt:
    return Corrupt(
        f"{subject} is damaged: {problem}.",
        code="layers.corrupt",
        hint="Verify the repository, then fetch or build the layer version again.",
    )
