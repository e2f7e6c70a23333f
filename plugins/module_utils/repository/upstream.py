# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of record: where many composers share one repository.

A repository whose marker has ``upstream`` is one composer's copy of that registry. The copy has all documents,
manifests and indexes; disks and archives arrive when they are first used. Changes of layers and templates are sent
to the registry before they are stored here. ``distribution`` implements the protocol, because this package knows no
registries; the modules attach it when they open the repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..common.errors import Corrupt, InternalError
from ..common.progress import Progress, silent

#: References of manifests that the registry of record has begin with this; thin images belong to one composer.
SHARED_REFERENCES = "layers/"
REQUIRED, OPTIONAL = "required", "optional"


@dataclass(frozen=True, kw_only=True)
class UpstreamSettings:
    """The registry of record as ``repository.json`` stores it. It never contains a secret.

    Exactly one of ``registry``, an address such as ``registry.example.com/windows``, and ``file_share``, a folder or an
    SMB share, is set. ``registry_auth_file`` is the path of a file with credentials in the form of docker and podman,
    None for the usual files. ``verify_keys`` are paths of public keys; ``signatures`` says whether content without a valid
    signature is refused (required) or accepted (optional). ``sign_key`` is the path of the private key that signs what
    this composer sends. ``cache_size_gb`` (GiB) and ``cache_days`` limit the disks and archives that are kept here, None
    for no limit. ``unrecognized`` has the keys of a newer version of the collection.
    """

    registry: str | None = None
    file_share: str | None = None
    flat: bool = False
    registry_auth_file: str | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    plain_http: bool = False
    proxy: str | None = None
    verify_keys: tuple[str, ...] = ()
    signatures: str = REQUIRED
    sign_key: str | None = None
    cache_size_gb: float | None = None
    cache_days: float | None = None
    unrecognized: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def location(self) -> str:
        """The address of the registry, or the folder or share."""
        return self.registry or self.file_share or ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object: every field that differs from its default."""
        default = UpstreamSettings()
        fields = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
            if key != "unrecognized" and value != getattr(default, key)
        }
        return fields | dict(self.unrecognized)

    @classmethod
    def from_dict(cls, value: object, marker: str) -> UpstreamSettings:
        """Read the JSON object of the file ``marker``.

        Raises:
            Corrupt: ``repository.marker``.
        """
        if not isinstance(value, dict) or ("registry" in value) == ("file_share" in value):
            raise _damaged(marker, "upstream")
        known = {key: item for key, item in value.items() if key in _FIELDS}
        for key, item in known.items():
            if not _is_valid(key, item):
                raise _damaged(marker, f"upstream.{key}")
        if "verify_keys" in known:
            known["verify_keys"] = tuple(known["verify_keys"])
        return cls(**known, unrecognized={key: item for key, item in value.items() if key not in _FIELDS})


_TEXTS = frozenset(("registry", "file_share", "registry_auth_file", "ca_path", "proxy", "sign_key"))
_FLAGS = frozenset(("flat", "validate_certs", "plain_http"))
_NUMBERS = frozenset(("cache_size_gb", "cache_days"))
_FIELDS = _TEXTS | _FLAGS | _NUMBERS | {"verify_keys", "signatures"}


def _is_valid(key: str, value: object) -> bool:
    if key in _TEXTS:
        return isinstance(value, str) and value != ""
    if key in _FLAGS:
        return isinstance(value, bool)
    if key in _NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if key == "signatures":
        return value in (REQUIRED, OPTIONAL)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _damaged(marker: str, name: str) -> Corrupt:
    return Corrupt(
        f"The file {marker} is damaged: the field {name} is missing or invalid.",
        code="repository.marker",
        hint="Restore it from a backup of the repository.",
    )


class Upstream(Protocol):
    """The registry of record as a repository uses it. Creating it sends no request.

    Every method raises Unavailable if the registry cannot be reached.
    """

    #: Receives the progress of transfers that begin where no progress is known, such as fetching a blob on first use.
    progress: Progress

    @property
    def label(self) -> str:
        """The name of the registry in messages, such as ``the registry registry.example.com``."""

    def has(self, manifests: Sequence[str], digest: str, size: int) -> bool:
        """Return whether the registry has a blob that ``manifests`` (digests of layer versions) list."""

    def fetch(self, manifests: Sequence[str], digest: str, size: int, target: str, progress: Progress) -> None:
        """Write the blob into the file ``target``, verified; resume what an interrupted run left there.

        Raises:
            NotFound: ``distribution.upstream_blob`` if the registry does not have it.
        """

    def before_build(self, kind: str, name: str, version: str) -> None:
        """Check, before a layer version is built, that the registry can be reached and does not have the version.

        Raises:
            Conflict: ``distribution.upstream_version``.
        """

    def upload(self, manifest: str, progress: Progress = silent) -> None:
        """Send the blobs and the manifest of a layer version, by digest: no composer sees the version yet."""

    def before_change(
        self, kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> None:
        """Change the document of a layer or template in the registry, before it is changed here.

        ``kind`` is the kind of document. ``before`` is the stored document, None if there is none; ``after`` is None to
        delete it.

        Raises:
            Conflict: ``distribution.upstream_version`` if the registry has a version of this name with other content,
                ``distribution.upstream_changed`` if another composer changed the layer or template.
        """

    def before_rename(self, kind: str, name: str) -> None:
        """Check, before a layer or template with this kind of document gets a new name, that the registry is known.

        No other composer may have changed it since the last synchronization, unless the registry does not have the layer or
        template.

        Raises:
            Conflict: ``distribution.upstream_behind``.
        """


def required_upstream(upstream: Upstream | None, settings: UpstreamSettings | None) -> Upstream | None:
    """Return the attached registry of record, None if the repository has none.

    A repository that has one, but was opened without it, must not be changed: the other composers would never see the
    change.
    """
    if settings is not None and upstream is None:
        raise InternalError(
            f"The repository has the upstream {settings.location!r}, and was opened without it.",
            code="repository.upstream_detached",
        )
    return upstream
