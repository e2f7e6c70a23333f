# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines and RDS servers: their image, their counts, the canary; sessions of pools and farms."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.farms import Farms, read_farm
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.machines import (
    MachineCounts,
    choose_canary,
    count_machines,
    read_machine,
    read_rds_server,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.pools import Pools, read_pool
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.sessions import count_sessions
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.similar_names import (
    listed,
    similar_names,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import ImageRef, Machine, SessionCounts
from ansible_collections.strata.layering.tests.support.horizon_answers import (
    MACHINES,
    RDS_SERVERS,
    SESSIONS,
    RecordedClient,
    farm_answer,
    machine_answer,
    pool_answer,
    server_answer,
)

OLD, IMAGE = ImageRef("vm-1", "snapshot-1"), ImageRef("vm-2", "snapshot-2")
ON_IMAGE = {"base_vm_id": "vm-2", "base_vm_snapshot_id": "snapshot-2"}
TO_IMAGE = {"pending_base_vm_id": "vm-2", "pending_base_vm_snapshot_id": "snapshot-2", "operation": "PUSH_IMAGE"}
POOL, FARM = read_pool(pool_answer()), read_farm(farm_answer())


class TestReadMachine:
    def test_machine_during_push_has_both_images(self):
        managed = {**TO_IMAGE, "operation_state": "SCHEDULED", "logoff_policy": "FORCE_LOGOFF"}
        machine = read_machine(machine_answer("m1", managed=managed, session_id="s1", state="CONNECTED"))
        assert machine == Machine(
            id="id-m1",
            name="m1",
            state="CONNECTED",
            image=OLD,
            pending=IMAGE,
            operation_state="SCHEDULED",
            logoff_policy="FORCE_LOGOFF",
            in_session=True,
        )

    @pytest.mark.parametrize("state", [None, "UNDEFINED", "COMPLETED"])
    def test_operation_that_is_over_is_none(self, state):
        assert read_machine(machine_answer("m1", managed={"operation_state": state})).operation_state is None

    def test_unmanaged_machine_has_no_image(self):
        assert read_machine({"id": "1", "name": "pc", "type": "UNMANAGED_MACHINE"}).image is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"state": "PROVISIONING_ERROR"},
            {"state": "AGENT_ERROR_DISABLED"},
            {"managed": {"operation": "PUSH_IMAGE", "operation_state": "FAULT"}},
            {"managed": {"missing_in_vcenter": True}},
        ],
        ids=["provisioning", "agent", "fault", "missing"],
    )
    def test_faulty_machine_has_error(self, changes):
        machine = read_machine(machine_answer("m1", **changes))
        assert machine.faulty
        assert machine.error

    def test_faulty_machine_has_text_of_horizon(self):
        machine = read_machine(machine_answer("m1", state="ERROR", managed={"clone_error_message": "No space."}))
        assert machine.error == "No space."

    @pytest.mark.parametrize(
        "state",
        ["AVAILABLE", "AGENT_UNREACHABLE", "WAITING_FOR_AGENT", "CUSTOMIZING", "AGENT_ERROR_INVALID_IP", "NEW_STATE"],
    )
    def test_machine_that_may_recover_is_not_faulty(self, state):
        machine = read_machine(machine_answer("m1", state=state, managed={"clone_error_message": "Earlier."}))
        assert (machine.faulty, machine.error) == (False, None)

    @pytest.mark.parametrize("read", [read_machine, read_rds_server])
    @pytest.mark.parametrize("answer", [None, {"id": "1"}, {"name": "m1"}, {"id": "1", "name": "m1", "state": 7}])
    def test_incomplete_answer_is_corrupt(self, read, answer):
        with pytest.raises(Corrupt) as caught:
            read(answer)
        assert caught.value.code == "horizon.answer"

    def test_rds_server_has_image_and_sessions(self):
        server = read_rds_server(server_answer("s1", session_count=2, operation_state="HOLDING", **TO_IMAGE))
        assert (server.image, server.pending, server.operation_state, server.in_session) == (
            OLD,
            IMAGE,
            "HOLDING",
            True,
        )

    def test_faulty_rds_server_has_error(self):
        server = read_rds_server(server_answer("s1", state="AGENT_ERR_DISABLED"))
        assert (server.faulty, server.error) == (True, "AGENT_ERR_DISABLED")


class TestLists:
    def test_machines_of_pool_take_one_filtered_list(self):
        client = RecordedClient({MACHINES: [machine_answer("m2"), machine_answer("m1"), machine_answer("x", "other")]})
        assert [machine.name for machine in Pools(client).machines(POOL)] == ["m1", "m2"]
        assert client.requests == [("GET", MACHINES, {"desktop_pool_id": "id-sales"}, {})]

    def test_servers_of_farm_take_one_filtered_list(self):
        client = RecordedClient({RDS_SERVERS: [server_answer("s2"), server_answer("s1"), server_answer("x", "other")]})
        assert [server.name for server in Farms(client).machines(FARM)] == ["s1", "s2"]
        assert client.requests == [("GET", RDS_SERVERS, {"farm_id": "id-apps"}, {})]

    def test_machine_on_two_pages_is_counted_once(self):
        client = RecordedClient({MACHINES: [machine_answer("m1"), machine_answer("m1")]})
        assert len(Pools(client).machines(POOL)) == 1


def machine(name: str, **values) -> Machine:
    return Machine(**({"id": f"id-{name}", "name": name, "state": "AVAILABLE", "image": OLD} | values))


def test_members_of_other_pools_do_not_count_if_the_server_ignores_the_filter():
    """A push must not concern machines of a different pool."""

    class Unfiltered(RecordedClient):
        def pages(self, path, filter=None, **query):
            return super().pages(path)

    sessions = [{"desktop_pool_id": "other", "session_state": "CONNECTED"}, {"session_state": "CONNECTED"}]
    client = Unfiltered(
        {
            MACHINES: [machine_answer("m1"), machine_answer("m2", pool="other")],
            RDS_SERVERS: [server_answer("s1"), server_answer("s2") | {"farm_id": "other"}],
            SESSIONS: sessions,
        }
    )
    assert [machine.name for machine in Pools(client).machines(POOL)] == ["m1"]  # type: ignore[arg-type]
    assert [server.name for server in Farms(client).machines(FARM)] == ["s1"]  # type: ignore[arg-type]
    assert count_sessions(client, POOL) == SessionCounts(connected=1)  # type: ignore[arg-type]


class TestCounts:
    def test_each_machine_has_one_place(self):
        machines = [
            machine("old"),
            machine("scheduled", pending=IMAGE, operation_state="SCHEDULED"),
            machine("standby", pending=IMAGE, operation_state="STANDBY"),
            machine("halted", pending=IMAGE, operation_state="HOLDING"),
            machine("done", image=IMAGE),
            machine("starts", image=IMAGE, state="WAITING_FOR_AGENT"),
            machine("fault", faulty=True, error="No space."),
            machine("broken", image=IMAGE, faulty=True, state="ERROR"),
        ]
        failed = (("broken", "ERROR"), ("fault", "No space."))
        assert count_machines(machines, IMAGE) == MachineCounts(8, 2, 3, 1, failed, not_ready=1)

    def test_machine_that_gets_a_different_image_is_pending(self):
        assert count_machines([machine("m", image=IMAGE, pending=OLD)], IMAGE).pending == 1

    def test_no_machines_have_no_counts(self):
        assert count_machines([], IMAGE) == MachineCounts()


IMAGES = st.sampled_from([OLD, IMAGE, ImageRef("vm-2", "snapshot-1"), None])
MACHINE_LISTS = st.lists(
    st.builds(
        Machine,
        id=st.uuids().map(str),
        name=st.text(min_size=1, max_size=5),
        state=st.sampled_from(["AVAILABLE", "CONNECTED", "PROVISIONING", "ERROR", "ODD"]),
        image=IMAGES,
        pending=IMAGES,
        operation_state=st.sampled_from([None, "SCHEDULED", "PROGRESSING", "HOLDING", "FAULT", "ODD"]),
        in_session=st.booleans(),
        faulty=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda entry: entry.name,
)


@given(MACHINE_LISTS)
def test_counts_of_machines_add_up(machines):
    counts = count_machines(machines, IMAGE)
    assert counts.total == len(machines) == counts.on_image + counts.pending + counts.halted + len(counts.failed)
    assert counts.not_ready <= counts.on_image


@given(MACHINE_LISTS, st.randoms())
def test_counts_do_not_depend_on_order(machines, random):
    shuffled = random.sample(machines, len(machines))
    assert count_machines(shuffled, IMAGE) == count_machines(machines, IMAGE)


class TestCanary:
    def test_canary_prefers_machines_that_have_the_image(self):
        machines = [
            machine("a-faulty", faulty=True),
            machine("b-in-session", in_session=True, state="CONNECTED"),
            machine("c-starts", state="PROVISIONING"),
            machine("e-free"),
            machine("d-free"),
            machine("f-pending", pending=IMAGE),
            machine("g-done", image=IMAGE, in_session=True),
        ]
        chosen = choose_canary(machines, IMAGE, count=7)
        expected = ["f-pending", "g-done", "d-free", "e-free", "c-starts", "b-in-session", "a-faulty"]
        assert [entry.name for entry in chosen] == expected

    @pytest.mark.parametrize("count", [3, -1])
    def test_canary_of_impossible_size_is_refused(self, count):
        with pytest.raises(InvalidInput) as caught:
            choose_canary([machine("a"), machine("b")], IMAGE, count=count)
        assert caught.value.code == "horizon.canary_count"
        assert (caught.value.details["expected"], caught.value.details["found"]) == (count, 2)

    def test_named_machines_are_chosen_in_their_order(self):
        chosen = choose_canary([machine("a"), machine("b"), machine("c")], IMAGE, names=["c", "a", "c"])
        assert [entry.name for entry in chosen] == ["c", "a"]

    def test_name_that_does_not_exist_is_refused(self):
        with pytest.raises(NotFound) as caught:
            choose_canary([machine("sales-1"), machine("lab")], IMAGE, names=["sales-2", "lab"])
        assert caught.value.code == "horizon.no_such_machine"
        assert (caught.value.details["missing"], caught.value.details["similar"]) == (["sales-2"], ["sales-1"])

    def test_no_demand_chooses_no_machine(self):
        assert choose_canary([machine("a")], IMAGE) == ()

    @given(MACHINE_LISTS, st.data())
    def test_second_run_chooses_the_same_machines(self, machines, data):
        count = data.draw(st.integers(0, len(machines)))
        chosen = choose_canary(machines, IMAGE, count=count)
        assert len(chosen) == count
        names = {entry.name for entry in chosen}
        afterwards = [dataclasses.replace(entry, pending=IMAGE) if entry.name in names else entry for entry in machines]
        already = sum(
            1 for entry in machines if entry.pending == IMAGE or (entry.image, entry.pending) == (IMAGE, None)
        )
        if already <= count:
            assert {entry.name for entry in choose_canary(afterwards, IMAGE, count=count)} == names


class TestSessions:
    def sessions(self):
        def session(state, machine_id=None, server_id=None, **target):
            return {"session_state": state, "machine_id": machine_id, "rds_server_id": server_id, **target}

        return [
            session("CONNECTED", "m1", desktop_pool_id="id-sales"),
            session("DISCONNECTED", "m1", desktop_pool_id="id-sales"),
            session("PENDING", "m2", desktop_pool_id="id-sales"),
            session("HIBERNATED", "m2", desktop_pool_id="id-sales"),
            session(None, desktop_pool_id="id-sales"),
            session("CONNECTED", None, "s1", farm_id="id-apps"),
            session("CONNECTED", "m9", desktop_pool_id="other"),
        ]

    @pytest.mark.parametrize(
        ("machine_ids", "counts"),
        [
            # Sessions in unknown states and on unknown machines count as connected.
            (None, SessionCounts(3, 1, 1)),
            (["m1", "m9"], SessionCounts(2, 1, 0)),
            ([], SessionCounts(1)),
        ],
    )
    def test_pool_sessions_take_one_filtered_list(self, machine_ids, counts):
        client = RecordedClient({SESSIONS: self.sessions()})
        assert Pools(client).sessions(POOL, machine_ids) == counts
        assert client.requests == [("GET", SESSIONS, {"desktop_pool_id": "id-sales"}, {})]

    @pytest.mark.parametrize(("server_ids", "connected"), [(None, 1), (["s1"], 1), (["s2"], 0)])
    def test_farm_sessions_are_counted_by_server(self, server_ids, connected):
        client = RecordedClient({SESSIONS: self.sessions()})
        assert Farms(client).sessions(FARM, server_ids) == SessionCounts(connected)

    @pytest.mark.parametrize(("api", "target"), [(Pools, POOL), (Farms, FARM)], ids=["pool", "farm"])
    def test_target_without_sessions_has_none(self, api, target):
        assert api(RecordedClient()).sessions(target) == SessionCounts()

    @given(st.lists(st.sampled_from(["CONNECTED", "DISCONNECTED", "PENDING", "ODD", None])))
    def test_every_session_is_counted(self, states):
        values = [{"session_state": state, "desktop_pool_id": "id-sales"} for state in states]
        total = count_sessions(RecordedClient({SESSIONS: values}), POOL)
        assert total.connected + total.disconnected + total.pending == len(states)


class TestSimilarNames:
    def test_names_in_other_case_come_first(self):
        assert similar_names("sales", ["Sale", "lab", "SALES", "Sales"]) == ["SALES", "Sales", "Sale"]

    def test_long_lists_are_shortened(self):
        assert listed([str(number) for number in range(12)]).endswith("and 2 more")
