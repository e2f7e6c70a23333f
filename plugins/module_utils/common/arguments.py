# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specifications that several modules share; plugins/doc_fragments documents them.

Only modules import this file: the engine does not depend on Ansible.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import env_fallback


def repository_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the argument for the repository that a module reads."""
    return {"repository": {"type": "path", "required": required, "fallback": (env_fallback, ["STRATA_REPOSITORY"])}}


def change_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the arguments of modules that change the repository: its path and the comment in the audit history."""
    return dict(repository_arguments(required=required), comment={"type": "str"})


def vsphere_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the arguments of the connection to vCenter; the names are those of vmware.vmware."""
    return {
        "hostname": {"type": "str", "required": required, "fallback": (env_fallback, ["VMWARE_HOST"])},
        "username": {
            "type": "str",
            "required": required,
            "aliases": ["user", "admin"],
            "fallback": (env_fallback, ["VMWARE_USER"]),
        },
        "password": {
            "type": "str",
            "required": required,
            "no_log": True,
            "aliases": ["pass", "pwd"],
            "fallback": (env_fallback, ["VMWARE_PASSWORD"]),
        },
        "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["VMWARE_VALIDATE_CERTS"])},
        "port": {"type": "int", "default": 443, "fallback": (env_fallback, ["VMWARE_PORT"])},
        "ca_path": {"type": "path", "fallback": (env_fallback, ["VMWARE_CA_PATH"])},
        "proxy_host": {"type": "str", "fallback": (env_fallback, ["VMWARE_PROXY_HOST"])},
        "proxy_port": {"type": "int", "fallback": (env_fallback, ["VMWARE_PROXY_PORT"])},
    }


def share_arguments() -> dict[str, Any]:
    """Return the arguments for the credentials of an SMB share, whose location is //server/share/path."""
    return {
        "file_share_username": {"type": "str", "fallback": (env_fallback, ["STRATA_FILE_SHARE_USERNAME"])},
        "file_share_password": {
            "type": "str",
            "no_log": True,
            "fallback": (env_fallback, ["STRATA_FILE_SHARE_PASSWORD"]),
        },
        "file_share_encrypt": {
            "type": "bool",
            "default": True,
            "fallback": (env_fallback, ["STRATA_FILE_SHARE_ENCRYPT"]),
        },
    }


def layer_version_options(*, version_required: bool = True) -> dict[str, Any]:
    """Return the suboptions of an option that names a layer version."""
    return {"name": {"type": "str", "required": True}, "version": {"type": "str", "required": version_required}}


def packaging_arguments() -> dict[str, Any]:
    """Return the arguments for the layers below a packaging machine; capturing its disk needs the same values."""
    return {
        "os_layer": {"type": "dict", "options": layer_version_options(version_required=False)},
        "prerequisites": {"type": "list", "elements": "dict", "default": [], "options": layer_version_options()},
    }


def layer_arguments() -> dict[str, Any]:
    """Return the arguments that all layer modules have in common."""
    return {
        "name": {"type": "str", "required": True},
        "version": {"type": "str"},
        "description": {"type": "str"},
        "version_description": {"type": "str"},
        "script": {"type": "path"},
        "icon": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }


def software_layer_arguments() -> dict[str, Any]:
    """Return the arguments that app_layer and platform_layer have in common."""
    return dict(
        layer_arguments(),
        **packaging_arguments(),
        files={"type": "path"},
        registry={"type": "list", "elements": "path", "default": []},
        delete={"type": "list", "elements": "str", "default": []},
        file_times={"type": "str", "choices": ["fixed", "keep"], "default": "fixed"},
        packaged_disk={"type": "path"},
        exclusions={"type": "list", "elements": "dict", "default": []},
        finalize={"type": "str", "choices": ["enforce", "warn", "ignore"], "default": "enforce"},
    )
