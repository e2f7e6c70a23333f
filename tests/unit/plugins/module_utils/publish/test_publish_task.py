# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task of a publish run, and requests to cancel it."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.connector_document import ConnectorDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.publish_task_record import PublishTaskRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import ResolvedTemplate
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import VCenterRecord
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference
from ansible_collections.strata.layering.plugins.module_utils.publish import publish_task as tasks
from ansible_collections.strata.layering.plugins.module_utils.publish.cancellation import (
    Canceled,
    CancelWatch,
    clear_cancel,
    request_cancel,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository

CONNECTOR = ConnectorDocument(name="desktops", datacenter="DC", datastore="ds", vm_template="golden")
VCENTER, OTHER_VCENTER = (VCenterRecord("vc", number) for number in ("1", "2"))


@pytest.fixture
def repository(tmp_path):
    return Repository.open(str(tmp_path / "repository"), create=True)


@pytest.fixture
def task(repository):
    layer = LayerReference("os", "Windows", "1", "sha256:" + "1" * 64)
    template = ResolvedTemplate("office", layer, (), None, CONNECTOR, None, "office", "automatic", "")
    return tasks.PublishTask.new(repository, template, VCENTER)


def test_tasks_of_the_same_second_are_listed_newest_first(repository):
    layer = LayerReference("os", "Windows", "1", "sha256:" + "1" * 64)
    template = ResolvedTemplate("office", layer, (), None, CONNECTOR, None, "office", "automatic", "")
    created = []
    for _number in range(8):
        task = tasks.PublishTask.new(repository, template, VCENTER)
        task.begin("compose", "The layers are composed.")
        created.append(task.record.id)
    assert [task.id for task in tasks.tasks_of(repository, "office")] == created[::-1]


def stored(repository) -> PublishTaskRecord:
    (record,) = tasks.tasks_of(repository, "office")
    return record


def test_task_is_stored_when_its_first_step_begins(repository, task):
    assert tasks.tasks_of(repository, "office") == []
    task.begin("compose", "The layers are composed.")
    assert stored(repository) == task.record
    assert (task.record.status, task.record.step) == (
        "Running",
        "compose",
    )
    task.begin("upload", "The disk is uploaded.")
    assert set(stored(repository).timings) == {"compose"}
    task.complete("It is there.")
    assert (stored(repository).status, stored(repository).step, set(stored(repository).timings)) == (
        "Complete",
        None,
        {"compose", "upload"},
    )


def test_tasks_of_selects_a_vcenter(repository, task):
    task.begin("compose", "The layers are composed.")
    assert tasks.tasks_of(repository, "office", VCenterRecord("vc.example.com", "1")) == [task.record]
    assert tasks.tasks_of(repository, "office", OTHER_VCENTER) == []


def test_task_unchanged_is_not_written(repository, task, monkeypatch):
    task.begin("power on", "It is powered on.")
    task.require_action("Shut it down.")
    before = stored(repository)
    monkeypatch.setattr(tasks, "now", lambda: "later")
    again = tasks.PublishTask(repository, stored(repository))
    again.require_action("Shut it down.")
    assert stored(repository) == before
    again.require_action("Shut it down at last.")
    assert stored(repository).updated == "later"
    assert stored(repository).step == "power on"


def test_task_fails_stores_the_error(repository, task):
    task.begin("compose", "")
    task.fail(Conflict("It is taken.", code="test.taken", hint="Wait."))
    assert stored(repository).error == {"code": "test.taken", "message": "It is taken.", "hint": "Wait."}
    assert stored(repository).description == "It is taken. Wait."


def test_cancel_watch_raises_for_a_request(repository):
    watch = CancelWatch(repository, "office")
    watch.check()
    request_cancel(repository, "office", "not today")
    request_cancel(repository, "other", None)
    with pytest.raises(Canceled) as raised:
        CancelWatch(repository, "office").check()
    assert raised.value.message.endswith(": not today.")
    clear_cancel(repository, "office")
    CancelWatch(repository, "office").check()
    with pytest.raises(Canceled):
        CancelWatch(repository, "other").check()


def test_task_reports_the_progress_of_a_step(repository, task, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(tasks.time, "monotonic", lambda: clock[0])
    task.begin("upload", "The disk is uploaded.")
    for second in range(11):
        clock[0] = 1000.0 + second
        task.report("upload", second * 100, 2000)
    assert stored(repository).progress == {
        "step": "upload",
        "unit": "bytes",
        "done": 1000,
        "total": 2000,
        "percent": 50,
        "rate": 100.0,
        "seconds_left": 10,
    }
    task.begin("snapshot", "The snapshot is taken.")
    assert stored(repository).progress is None
