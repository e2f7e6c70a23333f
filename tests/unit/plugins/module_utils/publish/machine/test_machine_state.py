# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an image's VM, from its metadata, power state, snapshots and reports."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import ResolvedTemplate
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference
from ansible_collections.strata.layering.plugins.module_utils.publish.guest import guest_report
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import machine_state, vm_metadata
from ansible_collections.strata.layering.plugins.module_utils.publish.machine.machine_state import MachineState, observe

TEMPLATE = ResolvedTemplate(
    "office",
    LayerReference("os", "Windows", "1", "sha256:" + "1" * 64),
    (),
    None,
    ConnectorDocument(name="desktops", datacenter="DC", datastore="ds", vm_template="golden"),
    None,
    "office",
    "automatic",
    "",
)
SCRIPTS = "guestinfo.strata.layering.scripts."
#: Number of the VM's last power-on event.
LAST_POWER_ON = 7


@pytest.fixture(autouse=True)
def session(monkeypatch):
    monkeypatch.setattr(machine_state.machines, "last_power_on", lambda _session, _machine: LAST_POWER_ON)
    return SimpleNamespace(object=lambda _kind, moid: moid)


def vm(state: str, *, power: str = "poweredOff", snapshot: bool = False, template: bool = False, **config: str):
    """Return the facts of a VM of the template's image."""
    metadata = vm_metadata.initial_extra_config(TEMPLATE) | {vm_metadata.KEY_STATE: state}
    snapshots = (SimpleNamespace(name=vm_metadata.snapshot_name(TEMPLATE)),) if snapshot else ()
    return SimpleNamespace(
        moid="vm-1",
        power_state=power,
        template=template,
        snapshots=snapshots,
        extra_config=metadata | config,
        accessible=True,
    )


def report(state: str) -> dict[str, str]:
    """Return the guest's report about the scripts of the template's image."""
    mark = guest_report.image_mark(TEMPLATE.content_digest)
    return {f"{SCRIPTS}image": mark, f"{SCRIPTS}state": state}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (None, MachineState.ABSENT),
        (vm("uploading"), MachineState.INCOMPLETE),
        (vm("uploading", snapshot=True), MachineState.SETTINGS_CHANGED),
        (vm("unknown"), MachineState.SETTINGS_CHANGED),
        (vm(""), MachineState.SETTINGS_CHANGED),
        (vm("uploading", template=True), MachineState.TEMPLATE),
        (vm("ready", template=True), MachineState.TEMPLATE),
        (vm("complete", template=True, snapshot=True), MachineState.TEMPLATE),
        (vm("uploading", **{vm_metadata.KEY_IMAGE: "sha256:other"}), MachineState.SETTINGS_CHANGED),
        (vm("ready", **{vm_metadata.KEY_IMAGE: "sha256:other"}), MachineState.SETTINGS_CHANGED),
        (vm("ready", **{vm_metadata.KEY_POWERED_ON: "7"}), MachineState.READY_TO_START),
        (vm("ready", **{vm_metadata.KEY_POWERED_ON: "6"}), MachineState.STOPPED),
        (vm("ready"), MachineState.STOPPED),
        (vm("ready", power="poweredOn"), MachineState.RUNNING),
        (vm("started", power="suspended"), MachineState.RUNNING),
        (vm("started"), MachineState.STOPPED),
        (vm("started", **report("finished")), MachineState.STOPPED),
        (vm("started", **report("running")), MachineState.READY_TO_START),
        (vm("started", **report("failed")), MachineState.READY_TO_START),
        (vm("failed"), MachineState.READY_TO_START),
        (vm("failed", **report("finished")), MachineState.STOPPED),
        (vm("complete"), MachineState.NEEDS_SNAPSHOT),
        (vm("complete", snapshot=True), MachineState.PUBLISHED),
        (vm("complete", snapshot=True, power="poweredOn"), MachineState.PUBLISHED_POWERED_ON),
        (vm("complete", power="poweredOn"), MachineState.PUBLISHED_POWERED_ON),
    ],
)
def test_observe_returns_the_state(session, facts, state):
    assert observe(session, TEMPLATE, facts) is state


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (None, MachineState.ABSENT),
        (vm("uploading"), MachineState.SETTINGS_CHANGED),
        (vm("ready"), MachineState.SETTINGS_CHANGED),
        (vm("started", power="poweredOn"), MachineState.SETTINGS_CHANGED),
        (vm("complete"), MachineState.SNAPSHOT_REMOVED),
        (vm("complete", power="poweredOn"), MachineState.SNAPSHOT_REMOVED),
        (vm("complete", snapshot=True), MachineState.PUBLISHED),
        (vm("complete", snapshot=True, power="poweredOn"), MachineState.PUBLISHED_POWERED_ON),
        (vm("complete", snapshot=True, template=True), MachineState.TEMPLATE),
    ],
)
def test_observe_of_a_vm_that_was_an_image_returns_the_state(session, facts, state):
    assert observe(session, TEMPLATE, facts, was_image=True) is state


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (None, MachineState.ABSENT),
        (vm("uploading", **{vm_metadata.KEY_POWERED_ON: "7"}), MachineState.UPLOADED),
        (vm("uploading", power="poweredOn"), MachineState.RUNNING),
        (vm("uploading"), MachineState.STOPPED),
        (vm("uploading", snapshot=True), MachineState.SETTINGS_CHANGED),
        (vm("uploading", template=True), MachineState.TEMPLATE),
        (vm("ready", **{vm_metadata.KEY_POWERED_ON: "7"}), MachineState.READY_TO_START),
        (vm("started"), MachineState.STOPPED),
        (vm("complete", snapshot=True), MachineState.PUBLISHED),
    ],
)
def test_observe_of_a_vm_whose_upload_is_complete_returns_the_state(session, facts, state):
    assert observe(session, TEMPLATE, facts, uploaded=True) is state


def test_observe_of_a_vm_without_configuration_is_inaccessible(session):
    facts = vm("uploading")
    facts.accessible, facts.extra_config = False, {}
    assert observe(session, TEMPLATE, facts) is MachineState.INACCESSIBLE
