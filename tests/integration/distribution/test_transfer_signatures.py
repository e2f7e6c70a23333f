# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushes sign, and pulls accept only what is signed as the options require."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.signing_keys import KeyPair, key_pair
from ansible_collections.strata.layering.tests.support.sites import LAYERS, add_template
from ansible_collections.strata.layering.tests.support.transfers import EVERYTHING, OFFICE, layer, offered, pull, push

RUNTIME = {"layers": [layer("Runtime")]}


@pytest.fixture(scope="session")
def pair() -> KeyPair:
    """The key of the first site."""
    return key_pair("s3cret-x")


@pytest.fixture
def signing(pair, tmp_path) -> dict:
    """Options with which a push signs."""
    (tmp_path / "sign.key").write_text(pair.private)
    (tmp_path / "sign.key").chmod(0o600)
    return {"sign_key": os.fspath(tmp_path / "sign.key"), "sign_key_passphrase": "s3cret-x"}


def test_signed_content_is_accepted(berlin, madrid, registry, pair, signing, tmp_path):
    pushed = push(berlin, registry, **EVERYTHING, **signing)
    assert pushed["signed"] == len(LAYERS) + 1
    (tmp_path / "sign.pub").write_text(pair.public)
    pulled = pull(madrid, registry, **EVERYTHING, verify_keys=[os.fspath(tmp_path / "sign.pub")])
    [signer] = {item["signed_by"] for item in pulled["transfers"]}
    assert signer.startswith("sha256:")
    record = run("audit_info", **madrid.options, kind="app_layer", name="Runtime")["records"][0]
    assert record["details"]["key"] == signer


@pytest.mark.parametrize(
    ("signed", "code"),
    [(False, "distribution.unsigned"), (True, "distribution.signature_unknown")],
    ids=["unsigned", "other_key"],
)
def test_content_without_a_trusted_signature_is_refused(berlin, madrid, registry, signing, signed, code):
    push(berlin, registry, **OFFICE, **(signing if signed else {}))
    before = state_of(madrid.path)
    keys = {"verify_keys": [key_pair().public]}
    fails("layer_transfer", code, **madrid.options, **registry, **OFFICE, **keys, state="pulled")
    assert state_of(madrid.path) == before
    accepted = pull(madrid, registry, **OFFICE, **keys, signatures="optional")
    assert {item["signed_by"] for item in accepted["transfers"]} == {None}
    assert accepted["warnings"]


def test_unsigned_content_is_signed_by_a_later_push(berlin, madrid, registry, pair, signing):
    push(berlin, registry, **OFFICE)

    def signers() -> list:
        found = offered(registry | {"verify_keys": [pair.public], "signatures": "optional"})
        return [version["signed_by"] for item in found["layers"] for version in item["versions"]]

    assert set(signers()) == {None}
    result = converges("layer_transfer", signers, **berlin.options, **registry, **OFFICE, **signing, state="pushed")
    assert {tuple(item["changes"]) for item in result["transfers"]} == {("signatures",)}
    assert None not in signers()
    assert run("audit_info", **berlin.options, kind="app_layer", name="Runtime")["records"][0]["action"] == "sign"
    pull(madrid, registry, **OFFICE, verify_keys=[pair.public])


def test_signatures_travel_through_a_site(berlin, madrid, registry, pair, signing, tmp_path):
    push(berlin, registry, **OFFICE, **signing)
    pull(madrid, registry, **OFFICE, verify_keys=[pair.public])
    file = {"file": os.fspath(tmp_path / "layers.tar")}
    push(madrid, file, **RUNTIME)
    [found] = [
        item
        for item in offered(file | {"verify_keys": [pair.public], "signatures": "optional"})["layers"]
        if item["name"] == "Runtime"
    ]
    assert found["versions"][0]["signed_by"] is not None


def test_change_of_keys_reaches_sites_that_have_the_content(berlin, madrid, registry, pair, signing):
    push(berlin, registry, **OFFICE, **signing)
    pull(madrid, registry, **OFFICE, verify_keys=[pair.public])
    new = key_pair()
    push(berlin, registry, **OFFICE, sign_key_content=new.private)
    options = registry | OFFICE | {"verify_keys": [new.public], "state": "pulled"}

    def attachments() -> list:
        names = Repository.open(os.fspath(madrid.path)).layout.references()
        return sorted(name for name in names if name.startswith("attachments/"))

    result = converges("layer_transfer", attachments, **madrid.options, **options)
    layers = [item for item in result["transfers"] if item["kind"] != "template"]
    assert {(item["action"], *item["changes"]) for item in layers} == {("updated", "signatures")}
    assert len({name.split("/")[1] for name in attachments()}) * 2 == len(attachments())


def test_details_of_someone_else_are_not_signed(berlin, madrid, registry, pair, signing):
    push(berlin, registry, **RUNTIME)
    pull(madrid, registry, **RUNTIME)
    run("app_layer", **madrid.options, name="Runtime", version="1.0", description="Not from Berlin")
    push(madrid, registry, **RUNTIME)
    push(berlin, registry, **RUNTIME, **signing)
    keys = {"verify_keys": [pair.public]}
    fails("layer_transfer", "distribution.unsigned", **madrid.options, **registry, **RUNTIME, **keys, state="pulled")


def test_template_of_someone_else_is_not_signed(berlin, madrid, registry, pair, signing):
    push(berlin, registry, **OFFICE)
    pull(madrid, registry, **OFFICE)
    add_template(madrid, description="Not from Berlin")
    push(madrid, registry, **OFFICE)
    push(berlin, registry, **OFFICE, **signing)
    [template] = offered(registry | {"verify_keys": [pair.public], "signatures": "optional"})["templates"]
    assert template["signed_by"] is None


def test_wrong_passphrase_is_refused_without_showing_it(berlin, registry, signing):
    options = berlin.options | registry | OFFICE | signing | {"state": "pushed", "sign_key_passphrase": "wr0ng-x"}
    error = fails("layer_transfer", "signing.passphrase_wrong", **options)
    assert "wr0ng-x" not in str(error)


def test_unverifiable_content_of_a_repository_is_refused_if_signatures_are_required(berlin, madrid):
    before = state_of(madrid.path)
    options = {**madrid.options, **OFFICE, "other_repository": os.fspath(berlin.path), "state": "pulled"}
    keys = {"verify_keys": [key_pair().public]}
    fails("layer_transfer", "operations.transfer_unverified", **options, **keys)
    assert state_of(madrid.path) == before
    assert run("layer_transfer", **options, **keys, signatures="optional")["changed"]
