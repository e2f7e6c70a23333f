# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs may be removed without being asked for: only the unfinished work of a publish, and images that are as they were published.

A VM that was once a finished image may have become something else: a template, a VM with its own data, the base of linked
clones. Its settings in extraConfig and the records of the repository decide. What they do not prove is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...catalog.image_record import ImageRecord
from ...catalog.vsphere_records import MachineRecord
from ...vsphere.vm import VmFacts
from ..machine.vm_metadata import (
    KEY_IMAGE,
    KEY_STATE,
    KEY_TEMPLATE,
    POWERED_OFF,
    STATE_COMPLETE,
    STATE_FAILED,
    STATE_READY,
    STATE_STARTED,
    STATE_UPLOADING,
)

#: States of a VM that has never been a finished image.
UNFINISHED_STATES = (STATE_UPLOADING, STATE_READY, STATE_STARTED, STATE_FAILED)
NOT_POWERED_OFF = "it is not powered off"
_TEMPLATE = "it was converted to a template"
_SETTINGS = (KEY_TEMPLATE, KEY_IMAGE, KEY_STATE)


def is_released(facts: VmFacts) -> bool:
    """Return whether a VM has none of the settings of a published VM: an administrator has removed them."""
    return facts.accessible and not any(facts.extra_config.get(key) for key in _SETTINGS)


def changed_settings(facts: VmFacts, expected: Mapping[str, Collection[str]]) -> list[str]:
    """Return a phrase for each setting whose value is not one of the expected values."""
    phrases = []
    for key, values in expected.items():
        found = facts.extra_config.get(key, "")
        if found not in values:
            values_text = " or ".join(repr(value) for value in values)
            phrases.append(f"its setting {key} is {found!r} (expected: {values_text})")
    return phrases


def template_name(facts: VmFacts, names: Sequence[str]) -> str:
    """Return the name of ``names`` that a VM has in its settings, the first if it has none of them."""
    found = facts.extra_config.get(KEY_TEMPLATE)
    return found if found is not None and found in names else names[0]


def image_change(facts: VmFacts, image: ImageRecord) -> str | None:
    """Return the clause that says how the VM of a recorded image differs from what was published, None if it does not."""
    return published_change(
        facts, image.vm, template_name(facts, image.template_names), image.image_digest, image.snapshot
    )


def published_change(
    facts: VmFacts, record: MachineRecord, template: str, image_digest: str, snapshot: str
) -> str | None:
    """Return the clause that says how a VM differs from the VM ``record`` that was published, None if it does not.

    A move to a different host or datastore is not a change: vSphere makes it by itself.
    """
    if not facts.accessible:
        return _inaccessible(facts)
    expected = {KEY_TEMPLATE: [template], KEY_IMAGE: [image_digest], KEY_STATE: [STATE_COMPLETE]}
    if changed := changed_settings(facts, expected):
        return changed[0]
    if facts.template:
        return _TEMPLATE
    if facts.power_state != POWERED_OFF:
        return NOT_POWERED_OFF
    if facts.name != record.name:
        return f"it was renamed to {facts.name}"
    if record.path is not None and facts.path != record.path:
        return f"it was moved from {record.path} to {facts.path}"
    if not any(existing.name == snapshot for existing in facts.snapshots):
        return f"its snapshot {snapshot} was removed"
    return None


def work_change(facts: VmFacts, template: str, image_digest: str, finished: Collection[str]) -> str | None:
    """Return the clause that says why a VM is not the unfinished work of publishing this image, None when it is.

    ``finished`` are the instance UUIDs of the VMs of recorded images.
    """
    if not facts.accessible:
        return _inaccessible(facts)
    expected = {KEY_TEMPLATE: [template], KEY_IMAGE: [image_digest]}
    if changed := changed_settings(facts, expected):
        return changed[0]
    if facts.template:
        return _TEMPLATE
    if facts.extra_config.get(KEY_STATE) == STATE_COMPLETE or facts.instance_uuid in finished:
        return "it was a finished image"
    if changed := changed_settings(facts, {KEY_STATE: UNFINISHED_STATES}):
        return changed[0]
    return None


def _inaccessible(facts: VmFacts) -> str:
    return f"vSphere cannot read its configuration (connection state: {facts.connection_state or 'unknown'})"
