# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specifications of registries, other remotes and signatures; plugins/doc_fragments/registry.py documents them.

Only modules import this file: the engine does not depend on Ansible.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

from .arguments import environment, share_arguments

#: The beginning of a key as text in PEM format.
_PEM = "-----BEGIN "


def key_file(variable: str) -> str:
    """Return the path of a key, as ``environment`` does; the text of a key counts as not set."""
    value = environment(variable)
    if _PEM in value:
        raise AnsibleFallbackNotFound
    return value


def key_text(variable: str, file_variable: str) -> str:
    """Return the text of a key, as ``environment`` does. The variable for its file may contain it by mistake."""
    try:
        return environment(variable)
    except AnsibleFallbackNotFound:
        value = environment(file_variable)
        if _PEM not in value:
            raise
        return value


def registry_arguments() -> dict[str, Any]:
    """Return the arguments of the connection to an OCI registry. ``registry`` is HOST[:PORT][/PREFIX]."""
    return {
        "registry": {"type": "str"},
        "registry_username": {"type": "str", "fallback": (environment, ["REGISTRY_USERNAME"])},
        "registry_password": {"type": "str", "no_log": True, "fallback": (environment, ["REGISTRY_PASSWORD"])},
        "registry_auth_file": {"type": "path", "fallback": (environment, ["REGISTRY_AUTH_FILE"])},
        "validate_certs": {"type": "bool", "default": True, "fallback": (environment, ["REGISTRY_VALIDATE_CERTS"])},
        "ca_path": {"type": "path", "fallback": (environment, ["REGISTRY_CA_PATH"])},
        "plain_http": {"type": "bool", "default": False, "fallback": (environment, ["REGISTRY_PLAIN_HTTP"])},
        # The URL may contain a password.
        "proxy": {"type": "str", "no_log": True, "fallback": (environment, ["REGISTRY_PROXY"])},
        "chunk_size_mb": {"type": "int"},
    }


def remote_arguments() -> dict[str, Any]:
    """Return the arguments that name the remote of a transfer, and its credentials."""
    return dict(
        registry_arguments(),
        **share_arguments(),
        file_share={"type": "path"},
        other_repository={"type": "path"},
        file={"type": "path"},
        flat={"type": "bool", "default": False},
    )


def verification_arguments() -> dict[str, Any]:
    """Return the arguments of the policy by which signatures are verified."""
    return {
        "verify_keys": {
            "type": "list",
            "elements": "str",
            "no_log": False,
            "fallback": (environment, ["STRATA_VERIFY_KEYS"]),
        },
        "signatures": {"type": "str", "choices": ["required", "optional"]},
    }


def signing_arguments() -> dict[str, Any]:
    """Return the arguments of the key with which a push signs."""
    return {
        "sign_key": {"type": "path", "no_log": False, "fallback": (key_file, ["STRATA_SIGN_KEY"])},
        "sign_key_content": {
            "type": "str",
            "no_log": True,
            "fallback": (key_text, ["STRATA_SIGN_KEY_CONTENT", "STRATA_SIGN_KEY"]),
        },
        "sign_key_passphrase": {
            "type": "str",
            "no_log": True,
            "fallback": (environment, ["STRATA_SIGN_KEY_PASSPHRASE"]),
        },
    }


def upstream_arguments() -> dict[str, Any]:
    """Return the arguments of the registry of record, which the repository stores.

    No environment variable is used: the stored address must not depend on the user who runs a module.
    """
    return {
        "registry": {"type": "str"},
        "file_share": {"type": "path"},
        "flat": {"type": "bool", "default": False},
        "registry_auth_file": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "plain_http": {"type": "bool", "default": False},
        "proxy": {"type": "str"},
        "verify_keys": {"type": "list", "elements": "str", "no_log": False},
        "signatures": {"type": "str", "choices": ["required", "optional"], "default": "required"},
        "sign_key": {"type": "path", "no_log": False},
        "cache_size_gb": {"type": "float"},
        "cache_days": {"type": "float"},
    }
