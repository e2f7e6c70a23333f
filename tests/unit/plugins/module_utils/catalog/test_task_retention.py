# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The publish tasks that are removed because they are old."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.publish_task_record import PublishTaskRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.task_retention import (
    expired_tasks,
    remove_expired_tasks,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import MachineRecord
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import VCENTER, store_task

NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


def task(age, *, digest="a", status="Complete", template="office", vm=None):
    """Return a task that was updated ``age`` days ago."""
    time = (NOW - datetime.timedelta(days=age)).isoformat()
    return PublishTaskRecord(
        template=template,
        status=status,
        description="",
        id=f"{1000 - age}{digest}",
        digest=digest,
        vcenter=VCENTER,
        created=time,
        updated=time,
        vm=vm,
    )


def expired(*tasks, days=90):
    return [(NOW - datetime.datetime.fromisoformat(task.created)).days for task in expired_tasks(tasks, days, NOW)]


def test_old_tasks_are_removed_and_the_last_of_each_template_stays():
    assert expired(task(300), task(200, digest="b"), task(100, digest="c"), task(300, template="other")) == [300, 200]


def test_tasks_that_ended_recently_stay():
    assert expired(task(91), task(90, digest="b"), task(1, digest="c")) == [91]


def test_tasks_of_one_image_stay_together():
    assert expired(task(300), task(10), task(5, digest="b")) == []
    assert expired(task(300), task(200, digest="b"), task(100)) == [200]


@pytest.mark.parametrize("status", ["Running", "ActionRequired", "Pending"])
def test_tasks_that_have_not_ended_stay(status):
    assert expired(task(300, status=status), task(1, digest="b")) == []


def test_failed_task_that_may_have_left_a_vm_stays():
    vm = MachineRecord("office-1", "vm-1", "uuid-1")
    assert expired(task(300, status="Failed", vm=vm), task(1, digest="b")) == []
    assert expired(task(300, status="Failed"), task(1, digest="b")) == [300]
    assert expired(task(300, status="Failed", vm=vm), task(299, vm=vm), task(1, digest="b")) == [300, 299]


tasks = st.builds(
    task,
    st.integers(0, 400),
    digest=st.sampled_from("abc"),
    status=st.sampled_from(["Complete", "Failed", "Canceled", "Running"]),
    template=st.sampled_from(["office", "desk"]),
)


@given(st.lists(tasks, max_size=12), st.integers(0, 400))
def test_removing_expired_tasks_leaves_the_newest_task_and_whole_images(stored, days):
    gone = expired_tasks(stored, days, NOW)
    left = [task for task in stored if task not in gone]
    for template in {task.template for task in stored}:
        newest = max((task for task in stored if task.template == template), key=lambda task: (task.created, task.id))
        assert newest in left
    assert {(task.template, task.digest) for task in gone}.isdisjoint({(task.template, task.digest) for task in left})
    assert all(task.status != "Running" for task in gone)
    assert expired_tasks(left, days, NOW) == []


def test_tasks_of_a_template_that_is_being_published_stay(tmp_path):
    repository = Repository.open(str(tmp_path / "repository"), create=True)
    store_task(repository, "1", "office")
    store_task(repository, "2", "office", digest="sha256:" + "d" * 64, created="2026-02-01T00:00:00Z")
    store_task(repository, "3", "desk")
    store_task(repository, "4", "desk", digest="sha256:" + "d" * 64, created="2026-02-01T00:00:00Z")
    with repository.locks.hold("publish/office"):
        assert remove_expired_tasks(repository, 0) == ["3"]
    assert document_collections.tasks(repository).names() == ["1", "2", "4"]
    assert remove_expired_tasks(repository, 0) == ["1"]
