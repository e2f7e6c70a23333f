# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transfer does with an item: pure functions of what both sides have.

Layer versions never change, so other content under the same name is a conflict. Templates change. A template may be replaced at
the target if the target has not changed since the last transfer between both sides; ``Known`` is what both had then.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..items.items import LayerFields, LayerItem
from ..items.template_item import TemplateItem
from ..signatures.attachments import new_attachments


class Action(enum.StrEnum):
    """What happens to an item at the target."""

    COPY = "copy"
    #: The target has the manifest; its details change.
    DETAILS = "details"
    #: The target has manifest and details; it gets signatures that only the source has.
    SIGNATURES = "signatures"
    #: The target is a remote that has the item, but its catalogue does not name it: a foreign tool has deleted or replaced the entry.
    ENTRY = "entry"
    #: The target has another state of the template, which is replaced.
    REPLACE = "replace"
    KEEP = "keep"
    #: The target has a version of the same content with another digest, which stays.
    SAME_CONTENT = "same_content"
    CONFLICT = "conflict"


#: Actions that change the target.
CHANGES = frozenset((Action.COPY, Action.DETAILS, Action.SIGNATURES, Action.ENTRY, Action.REPLACE))


class Reason(enum.StrEnum):
    """Why an item is kept or conflicts."""

    NONE = ""
    #: Only the target was changed since the last transfer.
    TARGET_IS_NEWER = "target_is_newer"
    OTHER_CONTENT = "other_content"
    #: Both sides were changed since the last transfer, or there was no transfer between them.
    BOTH_CHANGED = "both_changed"
    #: The remote has an older revision than it had before.
    OLDER_REVISION = "older_revision"


@dataclass(frozen=True)
class Decision:
    """An action and its reason."""

    action: Action
    reason: Reason = Reason.NONE


@dataclass(frozen=True)
class Known:
    """The content (a digest) and the revision of a template after the last transfer between two sides."""

    content: str
    revision: int


def decide_layer(
    source: LayerItem,
    target: LayerItem | None,
    fields: tuple[LayerFields | None, LayerFields | None] = (None, None),
    *,
    pull: bool,
) -> Decision:
    """Decide about a layer version.

    ``fields`` are those that the layer's versions share, at the source and at the target; None leaves them as they are.
    ``pull``: the source is the remote. Details that the target changed since the last exchange stay.
    """
    if target is None:
        return Decision(Action.COPY)
    if source.digest != target.digest:
        if source.same_content(target):
            return Decision(Action.SAME_CONTENT)
        return Decision(Action.CONFLICT, Reason.OTHER_CONTENT)
    decision = _decide_details(source, target, fields, pull)
    if decision.action is Action.KEEP and new_attachments(source, target):
        return Decision(Action.SIGNATURES, decision.reason)
    return decision


def _decide_details(
    source: LayerItem, target: LayerItem, fields: tuple[LayerFields | None, LayerFields | None], pull: bool
) -> Decision:
    same_entry = source.details.entry.to_dict() == target.details.entry.to_dict()
    if source.details.derived or (same_entry and (fields[0] is None or fields[0] == fields[1])):
        return Decision(Action.KEEP)
    mine, its = source.details.updated, target.details.updated
    if mine is not None and its is not None and (its >= mine if pull else its > mine):
        return Decision(Action.KEEP, Reason.TARGET_IS_NEWER)
    return Decision(Action.DETAILS)


def decide_template(source: TemplateItem, target: TemplateItem | None, known: Known | None, *, force: bool) -> Decision:
    """Decide about a template. ``force`` replaces a template that was changed on both sides, but never by an older revision."""
    if source.revision and known is not None and source.revision < known.revision:
        return Decision(Action.CONFLICT, Reason.OLDER_REVISION)
    if target is None:
        return Decision(Action.COPY)
    if source.content == target.content:
        return Decision(Action.KEEP)
    if force or (known is not None and known.content == target.content):
        return Decision(Action.REPLACE)
    if known is not None and known.content == source.content:
        return Decision(Action.KEEP, Reason.TARGET_IS_NEWER)
    return Decision(Action.CONFLICT, Reason.BOTH_CHANGED)
