# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers between repositories through registries that differ in what they offer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.templates import require_resolved
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.names import Naming
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.claims import Claim, claim_holder
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.local import Local
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.remote import Remote
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.transfer import Transfer
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.support import small_layers

from .two_sites import EDITOR, WINDOWS, actions, empty, filled, plan_pull, plan_push, pull, push

pytestmark = pytest.mark.simulator


def remote_of(address: str, prefix: str) -> Remote:
    """Connect to a registry that needs no login."""
    connection = RegistryConnection(RegistryAddress.parse(address), plain_http=True)
    return Remote(Registry.connect(connection), Naming(prefix), identity=prefix)


@pytest.fixture(params=["debian", "referrers", "no_referrers", "no_deletion"])
def remote(request) -> Iterator[Remote]:
    """A registry: Debian's, and registries with and without the referrers API and deletion."""
    prefix = "site-" + secrets.token_hex(4)
    if request.param == "debian":
        address = request.getfixturevalue("debian_registry").address
    else:
        simulated = request.getfixturevalue("simulated_registry")
        simulated.reset(referrers=request.param == "referrers", deletion=request.param != "no_deletion")
        address = simulated.address
    found = remote_of(address, prefix)
    with found.backend:
        yield found


@pytest.fixture
def home(tmp_path):
    """The repository that has layers."""
    return filled(tmp_path / "home")


@pytest.fixture
def other(tmp_path):
    """The empty repository."""
    return empty(tmp_path / "other")


def test_layers_travel_and_a_second_run_changes_nothing(home, other, remote):
    push(home, remote)
    assert not plan_push(home, remote).changed
    pull(other, remote)
    assert not plan_pull(other, remote).changed
    assert require_resolved(other, "office").image_digest == require_resolved(home, "office").image_digest
    assert verify(other) == []


def test_changed_details_and_template_travel(home, other, remote):
    push(home, remote)
    pull(other, remote)
    small_layers.describe_layer(home, "app", "Editor", "Edits texts")
    small_layers.put_template(home, "office", WINDOWS, (EDITOR,), "new")
    push(home, remote)
    assert actions(pull(other, remote)) == {
        "OS layer Windows 11 24H2": "keep",
        "app layer Editor 1.0": "details",
        "image template office": "replace",
    }
    assert not plan_pull(other, remote).changed and not plan_push(home, remote).changed


def test_of_two_composers_that_make_one_version_one_wins(home, other, remote):
    small_layers.add_os_layer(other, WINDOWS.name, WINDOWS.version, b"disk" * 1000)
    small_layers.add_app_layer(other, EDITOR.name, EDITOR.version, b"other archive", os_layer=WINDOWS)
    plans = plan_push(home, remote), plan_push(other, remote)
    Transfer(plans[0], Local(home)).apply()
    with pytest.raises(Conflict) as caught:
        Transfer(plans[1], Local(other)).apply()
    assert caught.value.code == "distribution.other_content"
    assert not plan_push(home, remote).changed


def test_claim_keeps_others_out_and_ends(home, remote):
    first, second = (Claim(remote.backend, remote.naming, name, name, "test") for name in ("one", "two"))
    first.acquire(0)
    assert claim_holder(remote.backend, remote.naming) is not None
    with pytest.raises(Conflict) as caught:
        second.acquire(0)
    assert caught.value.code == "distribution.claimed"
    first.release()
    second.acquire(0)
    second.release()
    assert claim_holder(remote.backend, remote.naming) is None
