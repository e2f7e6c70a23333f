# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a remote: blobs first, then under a claim the details, the signatures, the catalogue and at last the tag.

Nothing is visible before it is complete, because only the tag shows a version. Everything that a killed run has left is found
and used by the next one.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ...common.composer_paths import login_name
from ...common.errors import Conflict, NotFound
from ...common.progress import Progress, silent
from ...layers.layer_version import LayerReference
from ...oci_registry.model import Uploaded
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from ...signing.artifact import simple_signing_tag
from ..items import details as details_module
from ..items.artifacts import EMPTY, EMPTY_DIGEST, descriptor_of, parse_manifest
from ..items.catalog_entry import CatalogEntry
from ..items.items import Item, LayerItem
from ..items.names import ItemName, Location
from ..items.template_item import TemplateItem
from ..signatures.attachments import reference_of
from .claims import Claim, claim
from .local import Local, bases
from .remote import Remote

_PUSHED_BY, _COMMENT = "strata.layering.pushed-by", "strata.layering.comment"


class RemoteWriter:
    """Writes what the repository ``local`` has to ``remote``; ``comment`` says why, for others who look at the remote."""

    def __init__(self, remote: Remote, local: Local, comment: str | None = None) -> None:
        self.remote = remote
        self.local = local
        self._backend = remote.backend
        self._comment = comment

    @contextmanager
    def claim(self, purpose: str) -> Iterator[Claim]:
        """Hold the claim on the tags of the remote during the block.

        Raises:
            Conflict: ``distribution.claimed``, ``repository.lock_held``.
        """
        path = os.path.realpath(self.local.repository.path)
        composer = hashlib.sha256(f"{socket.gethostname()}:{path}".encode()).hexdigest()[:12]
        with (
            self.local.repository.locks.hold("claim", timeout=600, purpose=purpose),
            claim(
                self._backend, self.remote.naming, composer, holder=f"{socket.gethostname()}:{path}", purpose=purpose
            ) as held,
        ):
            self.remote.forget_entries()
            yield held

    # --- before the claim -------------------------------------------------------------------

    def send_blob(
        self, repository: str, blob: Descriptor, *, mount_from: Sequence[str] = (), progress: Progress = silent
    ) -> Uploaded:
        """Send a blob of the local repository."""
        if blob.digest == EMPTY_DIGEST:
            return self._backend.upload(repository, blob.digest, len(EMPTY), EMPTY)
        size = self._backend.blob_size(repository, blob.digest)
        if size == blob.size:
            return Uploaded.PRESENT
        path = self.local.blob_path(blob, progress)
        return self._backend.upload(repository, blob.digest, blob.size, path, mount_from=mount_from, progress=progress)

    def send_manifest(self, repository: str, item: Item) -> None:
        """Send a manifest whose blobs were sent, without a tag."""
        if self._backend.digest_of(repository, item.digest) is None:
            self._backend.put_manifest(repository, item.digest, item.manifest, MANIFEST)

    # --- under the claim --------------------------------------------------------------------

    def finish_layer(self, item: LayerItem, location: Location, path: str | None) -> str | None:
        """Make a layer version visible, whose blobs and manifest were sent; return the time of its details.

        Raises:
            Conflict: ``distribution.other_content`` if another composer made the version; ``distribution.base_missing``.
        """
        self._refuse_other(item, location, None)
        self._require_bases(item)
        self._attach(item, location.repository)
        self._sign(location.repository, item.descriptor)
        updated = self._put_details(item, location)
        self.enter(CatalogEntry(item.item.kind, item.item.name, path))
        self._set_tag(item, location)
        return updated

    def add_signatures(self, item: LayerItem, location: Location) -> None:
        """Send the signatures of a layer version that the remote has."""
        self._attach(item, location.repository)
        self._sign(location.repository, item.descriptor)

    def finish_template(self, item: TemplateItem, location: Location, planned: str | None, path: str | None) -> None:
        """Make a template visible; ``planned`` is the digest that the tag had when this was decided.

        Raises:
            Conflict: ``distribution.changed_meanwhile`` if the tag has moved; ``distribution.base_missing``.
        """
        self._refuse_other(item, location, planned)
        for layer in item.layers:
            self._require(layer, str(item.item))
        config = parse_manifest(item.manifest, item.digest)["config"]
        self._backend.upload(location.repository, config["digest"], len(item.config), item.config)
        for file in item.files:
            self.send_blob(location.repository, file)
        if not item.files:
            self._backend.upload(location.repository, EMPTY_DIGEST, len(EMPTY), EMPTY)
        self.send_manifest(location.repository, item)
        self._attach(item, location.repository)
        self._sign(location.repository, item.descriptor)
        self.enter(CatalogEntry(item.item.kind, item.item.name, path))
        self._set_tag(item, location)

    def finish_image(self, item: Item, location: Location) -> None:
        """Make a composed image visible, whose blobs and manifest were sent."""
        self._refuse_other(item, location, None)
        self._sign(location.repository, item.descriptor)
        self._set_tag(item, location)

    def put_details(self, item: LayerItem, location: Location) -> str | None:
        """Replace the details of a layer version that the remote has; return their time.

        Raises:
            NotFound: ``distribution.missing`` if it was deleted during the run.
        """
        if self._backend.digest_of(location.repository, location.tag) != item.digest:
            raise NotFound(
                f"The {item.item} was deleted from {self.remote.label} during this run.",
                code="distribution.missing",
                hint="Run again.",
            )
        return self._put_details(item, location)

    def _put_details(self, item: LayerItem, location: Location) -> str | None:
        repository, described = location.repository, item.details
        stored = self.remote.details_of(location, item.digest)
        if stored is not None and stored.same_as(described):
            return stored.updated
        updated = _later(stored.updated if stored else None)
        notes = {_PUSHED_BY: f"{login_name()}@{socket.gethostname()}"} | (
            {_COMMENT: self._comment} if self._comment else {}
        )
        manifest, config = details_module.to_artifact(described, item.descriptor, updated, notes)
        descriptor = Descriptor.from_json(parse_manifest(manifest, "")["config"])
        self._backend.upload(repository, descriptor.digest, len(config), config)
        self.send_blob(repository, described.icon or Descriptor("", EMPTY_DIGEST, len(EMPTY)))
        stored_as = descriptor_of(manifest, MANIFEST)
        # Its signature first: details without the signature that a policy requires must not be found.
        self._sign(repository, stored_as)
        self._backend.put_manifest(repository, stored_as.digest, manifest, MANIFEST)
        return updated

    def _refuse_other(self, item: Item, location: Location, planned: str | None) -> None:
        """Raise Conflict if the tag holds neither the item nor what it held when this was planned."""
        found = self._backend.digest_of(location.repository, location.tag)
        if found in (item.digest, planned):
            return
        if planned is None and found is not None and item.item.is_layer:
            raise Conflict(
                f"Another composer made the {item.item}: expected {item.digest}, found {found} in {self.remote.label}.",
                code="distribution.other_content",
                hint="A version never changes: pull that version, or create your version under another name.",
                expected=item.digest,
                found=found,
            )
        raise Conflict(
            f"The {item.item} in {self.remote.label} was changed during this run: expected {planned or 'nothing'}, found {found or 'nothing'}.",
            code="distribution.changed_meanwhile",
            hint="Run again.",
            expected=planned,
            found=found,
        )

    def _require_bases(self, item: LayerItem) -> None:
        for base in bases(item.version):
            self._require(base, str(item.item))

    def _require(self, base: LayerReference, user: str) -> None:
        """Raise Conflict unless the remote has the layer version ``base``, under its current name."""
        current = self.local.current_name(base) or ItemName(base.kind, base.name, base.version)
        location = self.remote.find(current)
        found = self._backend.digest_of(location.repository, location.tag)
        if found != base.digest:
            raise Conflict(
                f"The {user} needs the {current} with the digest {base.digest}, but {self.remote.label} has {found or 'none'}.",
                code="distribution.base_missing",
                hint="Push that layer version, too.",
                expected=base.digest,
                found=found,
            )

    def _attach(self, item: Item, repository: str) -> None:
        """Send the signatures that came with an item."""
        for attachment in item.attachments:
            reference = reference_of(attachment, item.digest)
            if self._backend.digest_of(repository, reference) is None:
                for blob in attachment.blobs:
                    self.send_blob(repository, blob)
                self._backend.put_manifest(repository, reference, attachment.manifest, MANIFEST)

    def _sign(self, repository: str, manifest: Descriptor) -> None:
        if self.remote.guard is not None:
            self.remote.guard.sign(self._backend, repository, manifest)

    def enter(self, entry: CatalogEntry) -> None:
        """Let the catalogue name a layer or template."""
        manifest = entry.to_manifest()
        digest = descriptor_of(manifest, MANIFEST).digest
        repository, tag = self.remote.naming.catalog, entry.tag(self.remote.naming)
        if self._backend.digest_of(repository, tag) != digest:
            self._backend.upload(repository, EMPTY_DIGEST, len(EMPTY), EMPTY)
            self._backend.put_manifest(repository, tag, manifest, MANIFEST)
            self.remote.forget_entries()

    def _set_tag(self, item: Item, location: Location) -> None:
        """Set the tag and read it again: the registry cannot compare before it sets a tag."""
        if self._backend.digest_of(location.repository, location.tag) == item.digest:
            return
        self._backend.put_manifest(location.repository, location.tag, item.manifest, MANIFEST)
        found = self._backend.digest_of(location.repository, location.tag)
        if found != item.digest:
            raise Conflict(
                f"The {item.item} in {self.remote.label} was changed during this run: expected {item.digest}, found {found or 'nothing'}.",
                code="distribution.changed_meanwhile",
                hint="Run again. Check that all composers use the current version of this collection.",
                expected=item.digest,
                found=found,
            )

    # --- deleting ---------------------------------------------------------------------------

    def delete(self, location: Location, digest: str) -> None:
        """Delete a manifest, its tag and what refers to it.

        Raises:
            Unsupported: ``oci_registry.delete`` if the registry does not allow it.
        """
        for referrer in self._backend.referrers(location.repository, digest):
            for signature in self._backend.referrers(location.repository, referrer.digest):
                self._backend.delete_manifest(location.repository, signature.digest)
            self._backend.delete_manifest(location.repository, referrer.digest)
        tagged = self._backend.digest_of(location.repository, simple_signing_tag(digest))
        if tagged is not None:
            self._backend.delete_manifest(location.repository, tagged)
        self._backend.delete_manifest(location.repository, digest)

    def delete_entry(self, entry: CatalogEntry) -> None:
        """Delete the entry of a layer or template in the catalogue."""
        naming = self.remote.naming
        digest = self._backend.digest_of(naming.catalog, entry.tag(naming))
        if digest is not None:
            self._backend.delete_manifest(naming.catalog, digest)


def _later(than: str | None) -> str:
    """Return the time now (RFC 3339, UTC), at least a millisecond later than ``than``: clocks of composers differ."""
    now = datetime.datetime.now(datetime.UTC)
    if than is not None:
        try:
            now = max(now, datetime.datetime.fromisoformat(than) + datetime.timedelta(milliseconds=1))
        except (ValueError, TypeError, OverflowError):
            pass
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def homes(items: Sequence[tuple[Item, Location]]) -> Mapping[str, list[str]]:
    """Return for each blob the repositories of a remote that have it or will have it, to mount it from there."""
    found: dict[str, list[str]] = {}
    for item, location in items:
        for blob in item.blobs:
            found.setdefault(blob.digest, []).append(location.repository)
    return found
