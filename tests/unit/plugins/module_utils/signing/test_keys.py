# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys in files and as text, keys that are refused, and secrets that never appear."""

from __future__ import annotations

import itertools
import os
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ansible_collections.strata.layering.plugins.module_utils.common import optional_imports
from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.signing import keys
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import (
    SigningKey,
    VerifyKey,
    load_verify_keys,
)
from ansible_collections.strata.layering.tests.support.signing_keys import key_pair, pem_pair, refusal

PASSPHRASE = "correct horse battery"
PAIR, OTHER = key_pair(), key_pair()
#: A key that `cosign generate-key-pair` writes has this frame; its body is JSON in base64.
COSIGN = (
    "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYiOnt9fQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
)


def written(folder, text, mode=0o600, name="key.pem"):
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_private_key_from_file_and_text_agrees(tmp_path):
    from_file = SigningKey.load(written(tmp_path, PAIR.private))
    assert from_file == SigningKey.load(PAIR.private)
    assert from_file.public == VerifyKey.load(PAIR.public)
    assert from_file.warnings == ()


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: f"\n\n{text}  \n"])
def test_key_text_of_a_form_is_accepted(change):
    assert SigningKey.load(change(PAIR.private)).public == VerifyKey.load(change(PAIR.public))


def test_encrypted_key_needs_its_passphrase():
    pair = key_pair(PASSPHRASE)
    assert SigningKey.load(pair.private, PASSPHRASE).public.pem == pair.public
    for passphrase in (None, ""):
        refusal("signing.passphrase_missing", SigningKey.load, pair.private, passphrase)
    refusal("signing.passphrase_wrong", SigningKey.load, pair.private, "incorrect")


def test_passphrase_of_a_plain_key_is_reported():
    assert len(SigningKey.load(PAIR.private, PASSPHRASE).warnings) == 1


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (rsa.generate_private_key(65537, 2048), "RSA with 2048 bits"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
    ids=["p384", "rsa", "ed25519"],
)
def test_key_of_a_different_kind_is_refused(key, named):
    pair = pem_pair(key)
    for load, text in ((SigningKey.load, pair.private), (VerifyKey.load, pair.public)):
        assert named in refusal("signing.key_kind", load, text).message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (COSIGN, "signing.key_cosign"),
        (COSIGN.replace("SIGSTORE", "COSIGN"), "signing.key_cosign"),
        (PAIR.public, "signing.key_public"),
        (PAIR.private.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"), "signing.key_kind"),
        (PAIR.private + OTHER.private, "signing.key_format"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "signing.key_format"),
        ("-----BEGIN PRIVATE KEY-----\n", "signing.key_format"),
        ("-----BEGIN PRIVATE KEY-----" + "A" * (65 << 10), "signing.key_file"),
    ],
    ids=itertools.count(),
)
def test_private_key_is_refused(text, code):
    refusal(code, SigningKey.load, text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PAIR.private, "signing.key_private"),
        (COSIGN, "signing.key_private"),
        (PAIR.public + PAIR.private, "signing.key_private"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "signing.key_format"),
        (PAIR.public.replace("PUBLIC KEY", "CERTIFICATE"), "signing.key_format"),
        (PAIR.public + OTHER.public, "signing.key_several"),
    ],
    ids=itertools.count(),
)
def test_public_key_is_refused(text, code):
    refusal(code, VerifyKey.load, text)


def test_several_public_keys_are_loaded_in_order_and_once(tmp_path):
    both = written(tmp_path, OTHER.public + PAIR.public + OTHER.public)
    assert [key.pem for key in load_verify_keys([both, PAIR.public])] == [OTHER.public, PAIR.public]


def test_missing_files_are_reported(tmp_path):
    for value in (str(tmp_path / "missing"), "", "C:\\keys\\key.pem"):
        refusal("signing.key_missing", SigningKey.load, value)


def test_files_that_are_not_keys_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for value in (str(tmp_path), str(tmp_path / "pipe"), "nul\0byte"):
        refusal("signing.key_file", VerifyKey.load, value)
    refusal("signing.key_file", VerifyKey.load, written(tmp_path, " " * (65 << 10)))
    refusal("signing.key_format", VerifyKey.load, written(tmp_path, "\xff\0", name="binary"))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o440, 0), (0o640, 0), (0o644, 1), (0o660, 1), (0o604, 1)])
def test_private_key_that_others_can_use_has_a_warning(tmp_path, mode, warned):
    assert len(SigningKey.load(written(tmp_path, PAIR.private, mode)).warnings) == warned


def test_public_key_that_others_can_read_has_no_warning(tmp_path):
    assert VerifyKey.load(written(tmp_path, PAIR.public, 0o644)).pem == PAIR.public


def test_secrets_are_never_shown():
    key = SigningKey.load(key_pair(PASSPHRASE).private, PASSPHRASE)
    assert PASSPHRASE not in repr(key)
    assert "0x" not in repr(key)
    for text, passphrase in ((key_pair(PASSPHRASE).private, "hunter2-wrong"), (PAIR.private[:-40], None)):
        with pytest.raises(StrataError) as error:
            SigningKey.load(text, passphrase)
        shown = f"{error.value} {error.value.details} {error.value.__cause__}"
        assert "hunter2-wrong" not in shown
        assert text[60:100] not in shown


@pytest.mark.parametrize("separator", ["", "\n"])
def test_key_without_its_frame_is_not_shown(separator):
    body = PAIR.private.splitlines()[1:-1]
    error = refusal("signing.key_format", SigningKey.load, separator.join(body))
    assert body[0] not in str(error)


@pytest.mark.parametrize(("load", "text"), [(SigningKey.load, PAIR.private), (VerifyKey.load, PAIR.public)])
def test_missing_library_is_reported(monkeypatch, load, text):
    for name in ("crypto_ec", "crypto_errors", "crypto_hashes", "crypto_serialization"):
        monkeypatch.setattr(keys, name, optional_imports._Absent("cryptography"))
    assert "cryptography" in refusal("common.missing_library", load, text).details["libraries"]


def test_private_key_does_not_leave_the_process():
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(SigningKey.load(PAIR.private))
