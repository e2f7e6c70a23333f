# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a guest: what a run does when vSphere waits for an answer about the VM."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import TimedOut
from ansible_collections.strata.layering.plugins.module_utils.publish.context import ActionRequired, PublishOptions
from ansible_collections.strata.layering.plugins.module_utils.publish.guest import guest_wait

FACTS = SimpleNamespace(name="office-1", folder_path="/DC/vm/Images", datacenter="DC", extra_config={})
QUESTION = "There is no more space for the virtual disk."


@pytest.fixture
def context():
    connector = SimpleNamespace(esxi_host=None)
    template = SimpleNamespace(content_digest="sha256:12", publish_mode="automatic", connector=connector)
    return SimpleNamespace(
        session=None, template=template, options=PublishOptions(), begin=lambda step, description: None
    )


def test_guest_watch_question_requires_action(context):
    with pytest.raises(ActionRequired) as raised:
        guest_wait.GuestWatch(context, FACTS).examine({}, False, QUESTION)
    for part in ("office-1", "/DC/vm/Images", QUESTION):
        assert part in raised.value.message


@pytest.mark.parametrize(
    ("report", "step"),
    [
        ({}, "wait for Windows"),
        ({"state": "running", "current": "1/2 app layer A: B 1.0"}, "script 1/2 of app layer A B 1.0"),
        ({"state": "finished", "current": ""}, "shut down"),
        ({"state": "running", "current": "activation runato.cmd"}, "activation"),
        ({"state": "running", "current": "wait devices"}, "wait for devices"),
    ],
)
def test_guest_watch_reports_the_script_that_runs(context, monkeypatch, report, step):
    monkeypatch.setattr(guest_wait, "script_names", lambda *_arguments: [])
    steps = []
    context.repository = None
    context.progress = lambda name, _done, _total: steps.append(name)
    context.task = SimpleNamespace(update=lambda **_changes: None, store=lambda: None)
    prefix = "guestinfo.strata.layering.scripts."
    config = {prefix + key: value for key, value in report.items()} | {prefix + "image": "12"}
    guest_wait.GuestWatch(context, FACTS).examine(config, False, None)
    assert steps == [step]


def test_guest_watch_warns_once_about_each_wait_without_success(context, monkeypatch):
    monkeypatch.setattr(guest_wait, "script_names", lambda *_arguments: [])
    warnings = []
    context.repository = None
    context.warn = warnings.append
    context.progress = lambda *_arguments: None
    context.task = SimpleNamespace(update=lambda **_changes: None, store=lambda: None)
    prefix = "guestinfo.strata.layering.scripts."
    values = {"image": "12", "state": "running", "current": "wait x", "wait.network": "absent", "wait.devices": "ready"}
    watch = guest_wait.GuestWatch(context, FACTS)
    for current in ("wait devices", "wait servicing"):
        watch.examine({prefix + key: value for key, value in (values | {"current": current}).items()}, False, None)
    assert len(warnings) == 1
    assert "no network adapter" in warnings[0]


def test_guest_watch_failed_activation_requires_action(context, monkeypatch):
    monkeypatch.setattr(guest_wait, "script_names", lambda *_arguments: [])
    context.repository = None
    context.task = SimpleNamespace(update=lambda **_changes: None, store=lambda: None)
    prefix = "guestinfo.strata.layering.scripts."
    values = {"image": "12", "state": "failed", "current": "activation runato.cmd", "code": "9", "output": "no host"}
    watch = guest_wait.GuestWatch(context, FACTS)
    with pytest.raises(ActionRequired) as raised:
        watch.examine({prefix + key: value for key, value in values.items()}, False, None)
    for part in ("runato.cmd", "9", "no host", "kmssetup.log", "run-scripts.cmd skip"):
        assert part in raised.value.message
    assert watch.failed


@pytest.mark.parametrize(("question", "error"), [(QUESTION, ActionRequired), (None, TimedOut)])
def test_power_on_times_out_with_a_question_requires_action(context, monkeypatch, question, error):
    def time_out(*_arguments, **_options):
        raise TimedOut("Powering on office-1 did not finish within 300 s.", code="vsphere.timed_out")

    calls = {
        "power_on": time_out,
        "pending_question": lambda *_arguments: question,
        "reconfigure": lambda *_arguments, **_options: None,
        "last_power_on": lambda *_arguments: None,
    }
    monkeypatch.setattr(guest_wait, "machines", SimpleNamespace(**calls))
    monkeypatch.setattr(guest_wait, "read_facts", lambda *_arguments: FACTS)
    with pytest.raises(error) as raised:
        guest_wait.power_on(context, None)
    assert (question or "300 s") in raised.value.message
