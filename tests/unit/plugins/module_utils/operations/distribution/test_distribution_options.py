# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of remotes, keys and transfers."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.strata.layering.plugins.module_utils.common import remote_arguments
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution.remote_options import (
    RemoteOptions,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution.trust_options import (
    SigningOptions,
    VerificationOptions,
)

REGISTRY = "registry.example.com:5000/windows"


def _params(specification: dict, **options: object) -> dict:
    """Return the options with their defaults, as a module gets them."""
    found = ArgumentSpecValidator(specification).validate(options)
    assert not found.error_messages
    return found.validated_parameters


def remote(**options: object) -> RemoteOptions:
    return RemoteOptions.from_params(_params(remote_arguments.remote_arguments(), **options))


def refused(function, *arguments_, **options: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        function(*arguments_, **options)
    return caught.value


def test_registry_is_parsed_with_its_connection():
    connection = remote(registry=REGISTRY, chunk_size_mb=5, ca_path="/x/ca.pem", plain_http=True).registry
    assert str(connection.address) == REGISTRY
    assert connection.chunk_size == 5 << 20
    assert connection.ca_file == "/x/ca.pem"
    assert connection.plain_http


def test_chunk_size_is_chosen_if_it_is_not_set():
    assert remote(registry=REGISTRY).registry.chunk_size is None


@pytest.mark.parametrize("option", ["file_share", "other_repository", "file"])
def test_other_remotes_need_no_registry(option):
    found = remote(**{option: "/x"})
    assert getattr(found, option) == "/x"
    assert found.registry is None


@pytest.mark.parametrize(
    ("options", "given"),
    [({}, []), ({"registry": REGISTRY, "file": "/x"}, ["registry", "file"])],
    ids=["none", "two"],
)
def test_number_of_remotes_other_than_one_is_refused(options, given):
    error = refused(remote, **options)
    assert error.code == "operations.remote"
    assert error.details["options"] == given


@pytest.mark.parametrize("size", [0, 4, 5000])
def test_chunk_size_out_of_range_is_refused(size):
    assert refused(remote, registry=REGISTRY, chunk_size_mb=size).code == "operations.chunk_size"


@pytest.mark.parametrize("options", [{"registry_username": "u"}, {"registry_password": "s3cret-x"}])
def test_half_of_the_credentials_is_refused_without_showing_them(options):
    error = refused(remote, registry=REGISTRY, **options)
    assert error.code == "operations.registry_credentials"
    assert "s3cret-x" not in str(error)


def test_credentials_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("REGISTRY_USERNAME", "robot")
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cret-x")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/x/auth.json")
    connection = remote(registry=REGISTRY).registry
    assert connection.username == "robot"
    assert connection.credentials_file == "/x/auth.json"
    assert "s3cret-x" not in repr(remote(registry=REGISTRY))


def _verification(**options: object) -> VerificationOptions:
    return VerificationOptions.from_params(_params(remote_arguments.verification_arguments(), **options))


@pytest.mark.parametrize(
    ("options", "required"),
    [
        ({}, False),
        ({"verify_keys": ["/x/a.pub"]}, True),
        ({"verify_keys": ["/x/a.pub"], "signatures": "optional"}, False),
        ({"verify_keys": ["/x/a.pub"], "signatures": "required"}, True),
    ],
)
def test_keys_require_signatures_unless_they_are_optional(options, required):
    assert _verification(**options).required is required


def test_required_signatures_without_keys_are_refused():
    assert refused(_verification(signatures="required").guard).code == "distribution.verify_keys"


def _signing(**options: object) -> SigningOptions:
    return SigningOptions.from_params(_params(remote_arguments.signing_arguments(), **options))


def test_key_is_a_file_or_a_text():
    assert _signing().key is None
    assert _signing(sign_key="/x/a.key").key == "/x/a.key"
    assert _signing(sign_key_content="-----BEGIN").key == "-----BEGIN"


def test_key_as_file_and_text_is_refused():
    assert refused(_signing, sign_key="/x/a.key", sign_key_content="-----BEGIN").code == "operations.sign_key"


def test_secrets_of_keys_are_not_shown():
    shown = repr(_signing(sign_key_content="-----BEGIN", sign_key_passphrase="s3cret-x"))
    assert "s3cret-x" not in shown
    assert "BEGIN" not in shown
