# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a remote has already without a signature by the key of a push."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from ..items.items import Item, LayerItem
from ..items.names import ItemName, Location
from ..items.template_item import TemplateItem
from ..sides.remote import Remote
from ..sides.remote_writer import RemoteWriter
from ..signatures.trust import SignatureGuard, TrustPolicy
from .decision import Action, Reason
from .plan import Plan, Step


@dataclass(frozen=True)
class Unsigned:
    """An item of a remote with its digest, and what the key did not sign: ``manifests``, and its details, which are written again."""

    item: ItemName
    location: Location
    digest: str
    manifests: tuple[Descriptor, ...]
    details: LayerItem | None = None


def find_unsigned(plan: Plan, guard: SignatureGuard) -> list[Unsigned]:
    """Return what a push leaves as it is at a remote, and what the key of the push did not sign.

    Only what the repository has, too, is signed. What the push changes is signed when it is written.
    """
    remote = plan.target
    if guard.key is None or not isinstance(remote, Remote):
        return []
    policy = TrustPolicy((guard.key.public,))
    found = []
    for step in plan.steps:
        target = step.target
        if (
            step.action not in (Action.KEEP, Action.DETAILS, Action.SIGNATURES, Action.ENTRY)
            or target is None
            or target.location is None
        ):
            continue
        unsigned = _Checker(remote, policy).check(step, target, target.location)
        if unsigned.manifests or unsigned.details:
            found.append(unsigned)
    return found


@dataclass(frozen=True)
class _Checker:
    remote: Remote
    policy: TrustPolicy

    def check(self, step: Step, target: Item, location: Location) -> Unsigned:
        """Return what the key did not sign of an item."""
        # A signature says that this repository agrees. Content that others may have written gets none.
        is_ours = _agree(step.source, target)
        manifests = [target.descriptor] if is_ours and not self._is_signed(location, target.digest) else []
        rewritten = None
        if isinstance(target, LayerItem) and isinstance(step.source, LayerItem) and not step.changes_document:
            details = self.remote.details_manifest(location, target.digest)
            if details is not None and not self._is_signed(location, details.digest):
                if step.source.details.same_as(target.details):
                    manifests.append(Descriptor(MANIFEST, details.digest, len(details.data)))
                elif step.reason is not Reason.TARGET_IS_NEWER:
                    rewritten = step.source
        return Unsigned(step.item, location, target.digest, tuple(manifests), rewritten)

    def _is_signed(self, location: Location, digest: str) -> bool:
        return self.policy.check(self.remote.backend, location.repository, digest) is not None


def _agree(source: Item, target: Item) -> bool:
    """Return whether the repository has the same manifest, or the same template with a different revision."""
    if isinstance(source, TemplateItem) and isinstance(target, TemplateItem):
        return source.content == target.content
    return source.digest == target.digest


def sign_unsigned(unsigned: Sequence[Unsigned], writer: RemoteWriter, guard: SignatureGuard) -> None:
    """Sign what ``find_unsigned`` returned.

    Raises:
        StrataError: the remote cannot be changed, as ``RemoteWriter.put_details``.
    """
    for found in unsigned:
        for manifest in found.manifests:
            guard.sign(writer.remote.backend, found.location.repository, manifest)
    rewritten = [found for found in unsigned if found.details is not None]
    if rewritten:
        with writer.claim("sign the details of layer versions") as claim:
            for found in rewritten:
                claim.renew()
                if found.details is not None:
                    writer.put_details(found.details, found.location)
