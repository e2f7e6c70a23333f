# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopting layer versions that other tools copied into the folder of a repository: they become versions of the catalogue.

A copy is adopted only if it is complete and undamaged, trusted if a policy requires that, and fits what the repository has, as
a pull would require. It gets the reference of a layer version; the reference names of the other tool are removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...catalog.kinds import layer_kind
from ...catalog.layer_store import layer_reference_name
from ...catalog.layers import find_layer_to_change, layer_lock
from ...common.errors import Conflict, NotFound, StrataError
from ...common.progress import Progress, silent
from ...repository.blobs import Descriptor
from ...repository.oci_layout import REFERENCE
from ...repository.repository import Repository
from ..items.artifacts import EMPTY_DIGEST, parse_manifest
from ..items.items import LayerItem
from ..items.names import ItemName, Naming
from ..sides.local import Local, merged, read_version, refuse_other_base, refuse_other_content
from ..sides.remote import Guard, Remote
from .copies import Copies, Copy, CopyView, find_copies

_MAX_CONFIG = 1 << 20
#: The names in the view of a copy, which has the manifest under every tag.
_NAMING = Naming("copies")
#: Errors of a layer version whose base may be adopted first.
_LATER = ("distribution.base_missing",)


@dataclass(frozen=True)
class Adoption:
    """A copy that becomes, or has become, a version of the catalogue."""

    copy: Copy
    layer: LayerItem


@dataclass(frozen=True)
class Left:
    """A copy that is left as it is: ``item`` is its name if it is known, ``error`` the reason."""

    copy: Copy
    item: ItemName | None
    error: StrataError


@dataclass
class AdoptionPlan:
    """What is adopted, in this order, and what is left.

    ``known`` are recorded versions whose further reference names are removed and whose new signatures are stored.
    """

    adopted: list[Adoption] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    known: list[Adoption] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.adopted or self.known)


def plan_adoption(repository: Repository, guard: Guard, progress: Progress = silent) -> AdoptionPlan:
    """Read and verify all copies, and decide about each. Nothing is changed.

    Raises:
        Corrupt: index.json or a document of the repository is damaged.
    """
    return _Planner(repository, guard, progress).plan(find_copies(repository))


def apply_adoption(repository: Repository, plan: AdoptionPlan, comment: str | None) -> None:
    """Record the layer versions of a plan, each completely or not at all, and remove the reference names of other tools.

    Raises:
        StrataError: the repository was changed in the meantime; as ``Local.record_layer``.
    """
    local, view = Local(repository), CopyView(repository)
    for adoption in plan.adopted:
        item = adoption.layer.item
        origin: dict = {"references": list(adoption.copy.references)}
        if adoption.layer.signer:
            origin["signer"] = adoption.layer.signer
        upstream = repository.shared_upstream()
        if upstream is not None:
            # Large blobs are sent before the registry of record is claimed.
            upstream.upload(adoption.layer.digest)
        local.record_layer(adoption.layer, None, action="adopt", comment=comment, origin=origin)
        seen = view.of(adoption.layer.digest)
        _remove_entries(seen, repository, adoption, _own_reference(item), seen.details())
    for known in plan.known:
        if known.layer.attachments:
            local.record_signatures(known.layer, action="adopt", comment=comment, origin={})
        _remove_entries(view.of(known.layer.digest), repository, known, None, set())


def _remove_entries(
    view: CopyView, repository: Repository, adoption: Adoption, own: str | None, unneeded: set[str]
) -> None:
    """Remove the entries of a copy, except with the reference ``own``, and the entries of what is stored otherwise now."""
    digest, names = adoption.layer.digest, set(adoption.copy.references) - {own}
    unneeded |= {attachment.digest for attachment in adoption.layer.attachments}

    def is_gone(item: dict) -> bool:
        reference = item.get("annotations", {}).get(REFERENCE)
        if reference is None:
            return item["digest"] == digest or item["digest"] in unneeded
        return (item["digest"] == digest and reference in names) or view.is_listing_of(item, unneeded)

    repository.layout.remove_entries(is_gone)


def _own_reference(item: ItemName) -> str:
    return layer_reference_name(item.kind, item.name, item.version or "")


class _Planner:
    def __init__(self, repository: Repository, guard: Guard, progress: Progress) -> None:
        self._repository = repository
        self._guard = guard
        self._progress = progress
        self._planned: dict[tuple[str, str], dict | None] = {}
        self._result = AdoptionPlan()

    def plan(self, copies: Copies) -> AdoptionPlan:
        self._result.known = list(self._known(copies))
        waiting = list(self._read(copies))
        while waiting:
            # A layer version may be built on a version that is adopted in the same run.
            later: list[tuple[Adoption, StrataError]] = []
            for adoption in waiting:
                try:
                    self._accept(adoption)
                except StrataError as error:
                    if error.code in _LATER:
                        later.append((adoption, error))
                    else:
                        self._leave(adoption.copy, adoption.layer.item, error)
            if len(later) == len(waiting):
                for adoption, reason in later:
                    self._leave(adoption.copy, adoption.layer.item, reason)
                break
            waiting = [adoption for adoption, _reason in later]
        self._result.left.sort(key=lambda left: (left.copy.references, left.copy.descriptor.digest))
        return self._result

    def _known(self, copies: Copies) -> Iterator[Adoption]:
        """Yield the recorded versions with further reference names or new signatures."""
        everything = CopyView(self._repository)
        for copy in copies.known:
            view = everything.of(copy.descriptor.digest)
            if copy.item is None:
                continue
            with contextlib.suppress(StrataError):
                # A damaged version is not changed: the state verified reports it.
                layer = Remote(view.backend, _NAMING).layer(copy.item)
                if layer is not None:
                    layer = dataclasses.replace(layer, attachments=view.unnamed_signatures(layer))
                    if copy.references or copy.is_unnamed or layer.attachments:
                        yield Adoption(copy, layer)

    def _read(self, copies: Copies) -> Iterator[Adoption]:
        """Yield the copies that are complete, undamaged, trusted, and whose name no other copy has."""
        found: list[Adoption] = []
        everything = CopyView(self._repository)
        for copy in copies.unknown:
            item: ItemName | None = None
            try:
                view = everything.of(copy.descriptor.digest)
                item = self._named(view, copy)
                remote = Remote(view.backend, _NAMING, self._guard)
                described = remote.details_of(_NAMING.location(item), copy.descriptor.digest)
                if described is not None:
                    # The version was renamed after it was built.
                    item = described.item
                layer = remote.layer(item)
                if layer is None:
                    raise NotFound(
                        f"The manifest {copy.descriptor.digest} was removed in the meantime.",
                        code="distribution.copy_gone",
                        hint="Run again.",
                    )
                self._verify(layer)
                found.append(Adoption(copy, layer))
            except StrataError as error:
                self._leave(copy, item, error)
        names = [adoption.layer.item for adoption in found]
        for adoption in found:
            if names.count(adoption.layer.item) > 1:
                self._leave(adoption.copy, adoption.layer.item, _ambiguous(adoption.layer.item))
            else:
                yield adoption

    def _named(self, view: CopyView, copy: Copy) -> ItemName:
        """Return the name with which a copy was built."""
        found = view.manifest("copies", copy.descriptor.digest)
        if found is None:
            raise NotFound(
                f"The manifest {copy.descriptor.digest} is missing.",
                code="distribution.copy_gone",
                hint="Copy it again.",
            )
        manifest = parse_manifest(found.data, found.digest)
        config = Descriptor.from_json(manifest["config"])
        version = read_version(manifest, view.read_blob("copies", config.digest, _MAX_CONFIG))
        return ItemName(version.kind, version.name, version.version)

    def _verify(self, layer: LayerItem) -> None:
        """Compare all blobs of a layer version, and of what is attached to it, with their digests."""
        blobs = [*layer.blobs, *(blob for attachment in layer.attachments for blob in attachment.blobs)]
        if layer.details.icon is not None:
            blobs.append(layer.details.icon)
        for blob in {blob.digest: blob for blob in blobs if blob.digest != EMPTY_DIGEST}.values():
            self._repository.layout.blob_path(blob, self._progress)

    def _accept(self, adoption: Adoption) -> None:
        """Add a copy to the plan, or raise the reason for which it cannot be adopted."""
        item = adoption.layer.item
        if self._repository.locks.held_since(layer_lock(item.kind, item.name)) is not None:
            raise Conflict(
                f"The {item} is being changed by another process.",
                code="distribution.copy_in_use",
                hint="Run again when that process has ended.",
            )
        future = self._repository.overlaid(self._planned)
        local = Local(future)
        before = find_layer_to_change(future, item.kind, item.name, item.version or "")
        refuse_other_content(local.label, adoption.layer, before)
        refuse_other_base(local, adoption.layer)
        self._planned[layer_kind(item.kind), item.name] = merged(before, adoption.layer, None).to_dict()
        self._result.adopted.append(adoption)

    def _leave(self, copy: Copy, item: ItemName | None, error: StrataError) -> None:
        self._result.left.append(Left(copy, item, error))


def _ambiguous(item: ItemName) -> Conflict:
    return Conflict(
        f"Several copies with different content are named {item}.",
        code="distribution.copy_ambiguous",
        hint="Remove all but one of the reference names from index.json, for instance with 'skopeo delete' or 'regctl tag rm'.",
    )
