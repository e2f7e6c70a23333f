# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers with values of wrong types end as errors of the engine, in every reader of the package."""

from __future__ import annotations

import copy
import random

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.base_images import BaseImages
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.farms import Farms
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.pools import Pools
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.usage import images_in_use
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.answers import Answer, records_of
from ansible_collections.strata.layering.tests.support.horizon_answers import (
    FARMS,
    MACHINES,
    POOLS,
    RDS_SERVERS,
    SESSIONS,
    VCENTERS,
    RecordedClient,
    farm_answer,
    machine_answer,
    pool_answer,
    server_answer,
)

_JUNK = (
    None,
    True,
    -1,
    1.5,
    1e300,
    float("inf"),
    1 << 80,
    "",
    "x",
    "\x00",
    [],
    {},
    [[]],
    [None],
    {"x": {}},
    "9" * 70_000,
)
_PENDING = {
    "instant_clone_operation": "SCHEDULE_PUSH_IMAGE",
    "instant_clone_pending_image_state": "PUBLISHING",
    "instant_clone_pending_image_progress": 3,
    "instant_clone_pending_image_parent_vm_id": "vm-2",
    "instant_clone_pending_image_snapshot_id": "snapshot-2",
    "instant_clone_push_image_settings": {"start_time": 1, "logoff_policy": "FORCE_LOGOFF"},
}


def lists():
    """Return the answers of a Connection Server by path."""
    return {
        VCENTERS: [{"id": "vc-1", "server_name": "vc1", "instance_uuid": "u"}],
        POOLS: [pool_answer(), pool_answer("canary", status=_PENDING)],
        FARMS: [farm_answer(), farm_answer("kiosk", status={"instant_clone_pending_image_state": "READY_HELD"})],
        MACHINES: [machine_answer("m1"), machine_answer("m2", managed={"operation_state": "FAULT"})],
        RDS_SERVERS: [server_answer("s1")],
        SESSIONS: [{"id": "x", "desktop_pool_id": "id-sales", "machine_id": "id-m1", "session_state": "CONNECTED"}],
        "/external/v1/base-vms": [{"id": "vm-1", "name": "gold", "path": "/gold", "incompatible_reasons": ["X"]}],
        "/external/v1/base-snapshots": [{"id": "snapshot-1", "name": "a", "created_timestamp": 1}],
    }


def places(value, found):
    """Append all containers and keys in JSON data to ``found``."""
    for key, element in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((value, key))
        if isinstance(element, (dict, list)):
            places(element, found)
    return found


def read_all(client):
    """Read everything that the package reads."""
    images = BaseImages(client)
    for api in (Pools(client), Farms(client)):
        for target in api.all():
            api.machines(target)
            api.sessions(target)
        api.find([api.all()[0].name])
    images_in_use(client)
    for vcenter in images.vcenters():
        for vm in images.vms(vcenter.id):
            images.check(vm, images.snapshot(vcenter.id, vm, "a"), "pool")


def test_readers_accept_the_answers():
    read_all(RecordedClient(lists()))


@pytest.mark.parametrize("seed", range(8))
def test_readers_of_wrong_values_raise_errors_of_the_engine(seed):
    chance, problems = random.Random(seed), 0
    for unused in range(150):
        answers = copy.deepcopy(lists())
        # The client has checked that a list consists of objects.
        objects = [element for path in answers for element in answers[path]]
        container, key = chance.choice([found for element in objects for found in places(element, [])])
        container[key] = copy.deepcopy(chance.choice(_JUNK))
        try:
            read_all(RecordedClient(answers))
        except StrataError as error:
            problems += 1
            assert error.hint
            assert len(str(error)) < 2000
    assert problems


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_answer_that_is_not_an_object_is_corrupt(value):
    with pytest.raises(StrataError) as raised:
        Answer(value, "the pool sales")
    assert raised.value.code == "horizon.answer"


def test_fields_of_objects_within_are_named():
    answer = Answer({"a": {"b": [{"c": "text"}]}}, "the pool sales")
    with pytest.raises(StrataError) as raised:
        answer.record("a").records("b")[0].number("c")
    assert raised.value.details == {"field": "a.b[0].c", "found": "'text'"}


def test_fields_that_are_missing_read_as_empty():
    answer = Answer({"null": None}, "the pool sales")
    for key in ("null", "missing"):
        assert answer.text_or_none(key) is None
        assert answer.number_or_none(key) is None
        assert answer.flag_or_none(key) is None
        assert answer.record_or_none(key) is None
        assert answer.record(key).raw == {}
        assert answer.records(key) == answer.texts(key) == []
        assert answer.flag(key, default=True)
        assert key not in answer
        for read in (answer.text, answer.number):
            with pytest.raises(StrataError):
                read(key)


def test_numbers_may_be_whole_floats():
    assert Answer({"n": 5.0}, "x").number("n") == 5


def test_records_of_a_list():
    assert [record.text("id") for record in records_of([{"id": "a"}, {"id": "b"}], "x")] == ["a", "b"]
