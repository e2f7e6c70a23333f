# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and differences of layer_transfer, from plans of transfers and removals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...distribution.items.items import Item, LayerItem
from ...distribution.items.names import ItemName
from ...distribution.items.template_item import TemplateItem
from ...distribution.sides.local import Local
from ...distribution.sides.remote import Remote
from ...distribution.signatures.attachments import new_attachments
from ...distribution.transfers.decision import Action
from ...distribution.transfers.plan import Plan, Step
from ...distribution.transfers.removal import Stored
from ...distribution.transfers.selection import Side
from ...distribution.transfers.transfer import Moved
from ...repository.blobs import Descriptor

_ACTIONS = {
    Action.COPY: "copied",
    Action.DETAILS: "updated",
    Action.SIGNATURES: "updated",
    Action.ENTRY: "updated",
    Action.REPLACE: "updated",
    Action.KEEP: "kept",
    Action.SAME_CONTENT: "same_content",
}
#: Fields that belong to a site, or that only say when something was stored.
_NOT_SHOWN = frozenset(("created", "updated", "connector", "source"))


def expected_bytes(plan: Plan) -> dict[ItemName, Moved]:
    """Return the bytes that a plan will move. A blob that several items share is counted once."""
    found: dict[ItemName, Moved] = {}
    counted: set[str] = set()
    for step in plan.steps:
        if step.action is not Action.COPY or isinstance(step.source, TemplateItem):
            continue
        moved = found[step.item] = Moved()
        for blob in step.source.blobs:
            if blob.digest in counted or _has(plan.target, step, blob):
                moved.present += blob.size
            else:
                moved.moved += blob.size
            counted.add(blob.digest)
    return found


def _has(target: Side, step: Step, blob: Descriptor) -> bool:
    if isinstance(target, Local):
        return target.has(blob)
    if not isinstance(target, Remote):
        return False
    repository = target.naming.location(step.item, step.path).repository
    return target.backend.blob_size(repository, blob.digest) is not None


@dataclass(frozen=True)
class TransferResults:
    """What a transfer did, or in check mode would do. ``signed`` are the items that the target had without a signature."""

    plan: Plan
    moved: Mapping[ItemName, Moved]
    signed: Collection[ItemName] = ()

    def result(self) -> dict[str, Any]:
        """Return the result of the module."""
        remote = self.plan.target if isinstance(self.plan.source, Local) else self.plan.source
        return {
            "remote": remote.label,
            "transfers": [self._transfer(step) for step in self.plan.steps],
            "bytes": _sum(self.moved.values()),
        }

    def _transfer(self, step: Step) -> dict[str, Any]:
        action = _ACTIONS[step.action]
        changes = _changes(step)
        if step.item in self.signed:
            action, changes = "updated", [*changes, "signatures"]
        return {
            "kind": step.item.kind,
            "name": step.item.name,
            "version": step.item.version,
            "action": action,
            "changes": changes,
            "reason": step.reason.value,
            "digest": step.source.digest,
            "target_digest": step.target.digest if step.target else None,
            "path": step.path,
            "bytes": _sum([self.moved.get(step.item, Moved())]),
            "signed_by": step.source.signer,
        }

    def difference(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the state of what changes at the target, before and after."""
        changed = [step for step in self.plan.steps if step.changes]
        before = {str(step.item): _shown(step.target) for step in changed if step.target}
        after = {str(step.item): _after(step) for step in changed}
        for step in changed:
            if step.action is Action.SIGNATURES and step.target:
                shown, existing = before[str(step.item)], {item.digest for item in step.target.attachments}
                added = {item.digest for item in new_attachments(step.source, step.target)}
                after[str(step.item)] = shown | {"signatures": sorted(existing | added)}
                before[str(step.item)] = shown | {"signatures": sorted(existing)}
            if step.action is Action.ENTRY:
                shown = before[str(step.item)]
                before[str(step.item)] = shown | {"catalog_entry": False}
                after[str(step.item)] = shown | {"catalog_entry": True}
        for step in self.plan.steps:
            if step.item in self.signed:
                before.setdefault(str(step.item), {})["signed"] = False
                after.setdefault(str(step.item), {})["signed"] = True
        return before, after


def _sum(moved: Iterable[Moved]) -> dict[str, int]:
    found = list(moved)
    return {
        "moved": sum(item.moved for item in found),
        "mounted": sum(item.mounted for item in found),
        "skipped": sum(item.present for item in found),
    }


def _shown(item: Item | None) -> dict[str, Any]:
    """Return what the difference shows of an item: its metadata, and the digest of a layer version or an image."""
    if isinstance(item, TemplateItem):
        shown = item.document.to_dict()
    elif isinstance(item, LayerItem):
        document = item.details.document.to_dict()
        document.pop("versions", None)
        shown = document | item.details.entry.to_dict()
    else:
        shown = {}
    shown = {key: value for key, value in shown.items() if key not in _NOT_SHOWN}
    return shown if isinstance(item, TemplateItem) or item is None else shown | {"digest": item.digest}


def _after(step: Step) -> dict[str, Any]:
    """Return what the difference shows of an item as the target gets it."""
    shown = _shown(step.source)
    if step.fields is not None:
        shown |= step.fields._asdict()
    return shown


def _changes(step: Step) -> list[str]:
    """Return the names of the fields that change at the target."""
    if not step.changes or step.target is None:
        return []
    if step.action is Action.SIGNATURES:
        return ["signatures"]
    if step.action is Action.ENTRY:
        return ["catalog_entry"]
    before, after = _shown(step.target), _after(step)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def result_of_removal(remote: str, stored: Sequence[Stored]) -> dict[str, Any]:
    """Return the result of the module for what was deleted."""
    transfers: list[dict[str, Any]] = [
        {
            "kind": found.item.kind,
            "name": found.item.name,
            "version": found.item.version,
            "action": "deleted",
            "changes": [],
            "reason": "",
            "digest": found.digest,
            "target_digest": found.digest,
            "path": found.path,
            "bytes": _sum([]),
            "signed_by": None,
        }
        for found in stored
    ]
    return {"remote": remote, "transfers": transfers, "bytes": _sum([]), "signed": 0}


def difference_of_removal(stored: Sequence[Stored]) -> dict[str, Any]:
    """Return the digests of what is deleted."""
    return {str(found.item): {"digest": found.digest} for found in stored}
