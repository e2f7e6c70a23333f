# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import ComputeProfile
from ansible_collections.strata.layering.plugins.module_utils.horizon.pushing.decision import DesiredState
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_push_options import (
    HorizonImagePushOptions,
    parse_start_time,
)
from ansible_collections.strata.layering.tests.support.modules import specification_of

_REQUIRED = {
    "hostname": "cs01.example.com",
    "username": "svc",
    "domain": "EXAMPLE",
    "password": "secret",
    "vm": "golden",
    "snapshot": "one",
    "pools": ["sales"],
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("STRATA_REPOSITORY", "HORIZON_HOST", "HORIZON_DOMAIN"):
        monkeypatch.delenv(name, raising=False)


def options(**values: Any) -> HorizonImagePushOptions:
    """Return the options of the module; a value None removes an option."""
    given = {name: value for name, value in (_REQUIRED | values).items() if value is not None}
    checked = ArgumentSpecValidator(specification_of("horizon_image_push")["argument_spec"]).validate(given)
    assert not checked.error_messages
    return HorizonImagePushOptions.from_params(checked.validated_parameters)


def test_defaults_make_no_demands():
    wish = options().wish
    assert (wish.state, wish.image, wish.start_time, wish.max_sessions) == (DesiredState.PRESENT, None, None, None)
    assert (wish.logoff_policy, wish.stop_on_first_error) == ("WAIT_FOR_LOGOFF", True)
    assert (wish.add_virtual_tpm, wish.compute_profile) == (None, None)
    assert not (wish.replace or wish.change_source or wish.enable_provisioning or wish.allow_disabled)


def test_names_are_taken_once_in_their_order():
    found = options(pools=["b", "a", "b"], farm="apps")
    assert (found.pools, found.farms) == (("b", "a"), ("apps",))


def test_values_are_those_of_horizon():
    found = options(
        state="staged",
        machines=["vdi-1"],
        logoff_policy="force_logoff",
        start_time="1970-01-01T01:00:01+01:00",
        compute_profile={"cpus": 4, "cores_per_socket": 2, "ram_mb": 8192},
        image_source="change",
        provisioning="enabled",
        wait_for="machines",
    )
    assert (found.wish.state, found.machines) == (DesiredState.STAGED, ("vdi-1",))
    assert (found.wish.logoff_policy, found.wish.start_time) == ("FORCE_LOGOFF", 1000)
    assert found.wish.compute_profile == ComputeProfile(4, 2, 8192)
    assert found.wish.change_source and found.wish.enable_provisioning and found.waiting.for_machines


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"pools": None}, "operations.push_target"),
        ({"pools": [], "farms": []}, "operations.push_target"),
        ({"vm": None, "snapshot": None}, "operations.push_image_option"),
        ({"vm": None}, "operations.push_image_option"),
        ({"snapshot": None}, "operations.push_image_option"),
        ({"template": "office"}, "operations.push_image_option"),
        ({"image": "previous"}, "operations.push_image_option"),
        ({"vm": None, "snapshot": None, "template": "office"}, "operations.push_image_option"),
        (
            {"vm": None, "snapshot": None, "template": "office", "repository": "/r", "image": "newest"},
            "operations.push_image_option",
        ),
        (
            {"vm": None, "snapshot": None, "template": "office", "repository": "/r", "image": "1f0c22a"},
            "operations.push_image_option",
        ),
        ({"machines": ["vdi-1"]}, "operations.push_option"),
        ({"canary": 1}, "operations.push_option"),
        ({"state": "canceled", "canary": 1}, "operations.push_option"),
        ({"state": "staged", "canary": -1}, "operations.push_option"),
        ({"state": "staged", "canary": 1, "machines": ["vdi-1"]}, "operations.push_option"),
        ({"state": "staged", "machines": ["vdi-1"], "farms": ["apps"]}, "operations.push_option"),
        ({"farms": ["apps"], "add_virtual_tpm": True}, "operations.push_option"),
        ({"max_sessions": -1}, "operations.push_option"),
        ({"wait_sleep": 0}, "operations.push_option"),
        ({"retries": -1}, "operations.push_option"),
        ({"compute_profile": {"cpus": 3, "cores_per_socket": 2, "ram_mb": 4096}}, "horizon.compute_profile"),
        ({"compute_profile": {"cpus": 2, "cores_per_socket": 0, "ram_mb": 4096}}, "horizon.compute_profile"),
        ({"compute_profile": {"cpus": 2, "cores_per_socket": 2, "ram_mb": 4}}, "horizon.compute_profile"),
        ({"start_time": "tomorrow"}, "operations.push_start_time"),
        ({"start_time": "2026-12-01"}, "operations.push_start_time"),
        ({"start_time": "2026-12-01T22:00:00"}, "operations.push_start_time"),
        ({"start_time": "1796158800"}, "operations.push_start_time"),
    ],
)
def test_wrong_option_is_refused(values, code):
    with pytest.raises(InvalidInput) as caught:
        options(**values)
    assert caught.value.code == code


def test_canceling_needs_no_image():
    found = options(state="canceled", vm=None, snapshot=None)
    assert (found.choice, found.wish.state) == (None, DesiredState.CANCELED)


@pytest.mark.parametrize("image", ["latest", "previous", "1F0C22A1", "sha256:1f0c22a1", "1f0c22a1" * 8])
def test_image_of_a_template_is_read(image):
    found = options(vm=None, snapshot=None, template="office", repository="/r", image=image)
    assert found.choice is not None
    assert (found.choice.template, found.choice.image) == ("office", image.lower())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.250+01:00", 250),
        (" 2026-12-01T22:00:00+01:00 ", 1796158800000),
        ("2026-12-01 22:00:00+01:00", 1796158800000),
    ],
)
def test_start_time_is_in_milliseconds(text, expected):
    assert parse_start_time(text) == expected


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
def test_start_time_that_no_calendar_has_in_utc_is_refused(text):
    with pytest.raises(InvalidInput) as raised:
        parse_start_time(text)
    assert raised.value.code == "operations.push_start_time"
