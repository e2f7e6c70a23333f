# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of layers, templates and images in a registry: the repository and the tag of each.

A layer version is ``PREFIX/KIND/SLUG:VERSION``, a template ``PREFIX/templates/SLUG:current``, a composed image
``PREFIX/images/SLUG:CONTENT``. In the flat form everything is in the repository PREFIX and the tag is ``KIND.SLUG.VERSION``,
for registries that do not create repositories or allow no nested names.

Source: OCI distribution-spec, "Pulling manifests": repository names and tags.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from ...common.errors import InvalidInput
from ...layers.layer_version import APP, KINDS, OS, PLATFORM

TEMPLATE = "template"
IMAGE = "image"
#: The tag of a template, which moves when the template changes.
CURRENT = "current"
#: The beginning of tags that composers set while they change other tags.
CLAIM = "claim."

_FOLDERS = {OS: "os", APP: "app", PLATFORM: "platform", TEMPLATE: "templates", IMAGE: "images"}
_LABELS = {
    OS: "OS layer",
    APP: "app layer",
    PLATFORM: "platform layer",
    TEMPLATE: "image template",
    IMAGE: "composed image",
}
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
#: Tags that mean something else: the template's tag, claims, and the tags of referrers and of cosign's signatures.
_RESERVED = re.compile(r"current|claim\..*|catalog\..*|sha256-.*", re.IGNORECASE)
_LONGEST_SLUG, _LONGEST_TAG = 100, 80


@dataclass(frozen=True, order=True)
class ItemName:
    """The name of something that travels: a layer version, a template (``version`` None) or a composed image.

    ``kind`` is os, app, platform, template or image. The version of an image is its content digest.
    """

    kind: str
    name: str
    version: str | None = None

    @property
    def is_layer(self) -> bool:
        """Whether this is a layer version."""
        return self.kind in KINDS

    def __str__(self) -> str:
        version = f" {self.version[7:19] if self.kind == IMAGE else self.version}" if self.version else ""
        return f"{_LABELS[self.kind]} {self.name}{version}"


@dataclass(frozen=True)
class Location:
    """The repository and the tag of a manifest."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Naming:
    """The names below ``prefix``, which may be empty unless the form is flat."""

    prefix: str
    flat: bool = False

    def __post_init__(self) -> None:
        if self.prefix and not _PATH.fullmatch(self.prefix):
            raise InvalidInput(
                f"{self.prefix[:100]!r} cannot be a path in a registry.",
                code="distribution.prefix",
                hint="Use lower-case letters, digits, dots, dashes and underscores, such as registry.example.com/windows/layers.",
            )
        if self.flat and not self.prefix:
            raise InvalidInput(
                "The registry has no path, which flat requires.",
                code="distribution.prefix",
                hint="Add the name of the repository to registry, such as registry.example.com/windows-layers.",
            )

    @property
    def catalog(self) -> str:
        """The repository whose tags name all layers and templates."""
        return self.prefix if self.flat else self._join("catalog")

    def repository(self, kind: str, name: str, path: str | None = None) -> str:
        """Return the repository of a layer, template or image; ``path`` replaces the part that is derived from the name.

        Raises:
            InvalidInput: ``distribution.path``.
        """
        return self.prefix if self.flat else self._join(_FOLDERS[kind], _slug_or_path(name, path))

    def location(self, item: ItemName, path: str | None = None) -> Location:
        """Return the repository and the tag of an item."""
        tag = version_tag(item)
        if self.flat:
            tag = f"{item.kind}.{_slug_or_path(item.name, path).replace('/', '-')}.{tag}"
        return Location(self.repository(item.kind, item.name, path), tag[:128])

    def catalog_tag(self, kind: str, name: str, path: str | None = None) -> str:
        """Return the tag of a layer or template in the repository ``catalog``."""
        tag = f"{kind}.{_slug_or_path(name, path).replace('/', '--')}"[:110]
        return f"catalog.{tag}" if self.flat else tag

    def claim_tag(self, composer: str) -> str:
        """Return the tag of a composer's claim in the repository ``catalog``."""
        return CLAIM + composer

    def _join(self, *parts: str) -> str:
        return "/".join((self.prefix, *parts) if self.prefix else parts)


def slug(name: str) -> str:
    """Return a name of lower-case letters, digits and dashes for a layer or template; never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    text = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_SLUG].strip("-")
    return text or "name-" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def version_tag(item: ItemName) -> str:
    """Return the tag of a version; a version that no tag can have is changed and gets 8 digits of its digest."""
    if item.kind == TEMPLATE or item.version is None:
        return CURRENT
    if item.kind == IMAGE:
        return item.version.rpartition(":")[2]
    version = item.version
    if len(version) <= _LONGEST_TAG and _TAG.fullmatch(version) and not is_reserved_tag(version):
        return version
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", version)[:_LONGEST_TAG].strip("-.") or "version"
    digest = hashlib.sha256(version.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if not is_reserved_tag(plain) else f"version-{plain}-{digest}"


def is_reserved_tag(tag: str) -> bool:
    """Return whether a tag does not name a version of a layer."""
    return _RESERVED.fullmatch(tag) is not None


def check_path(path: str | None) -> str | None:
    """Return ``path``; InvalidInput (``distribution.path``) unless it is None or can be the path of a layer or template."""
    if path is not None and (not isinstance(path, str) or not _PATH.fullmatch(path) or len(path) > _LONGEST_SLUG):
        raise InvalidInput(
            f"{str(path)[:100]!r} cannot be the path of a layer or template in a registry.",
            code="distribution.path",
            hint="Set path to lower-case letters, digits, dots, dashes and underscores, such as editors/notepad.",
        )
    return path


def _slug_or_path(name: str, path: str | None) -> str:
    return check_path(path) or slug(name)
