# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specifications that several modules share; plugins/doc_fragments documents them.

Only modules import this file: the engine does not depend on Ansible.
"""

from __future__ import annotations

import copy
from typing import Any

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

from .errors import InvalidInput, StrataError
from .option_values import prepare_options

#: Which arguments of ``template_arguments`` and ``connector_arguments`` are required for which value of another.
TEMPLATE_REQUIRED_IF: list[tuple[Any, ...]] = [("state", "present", ("os_layer", "connector"))]
CONNECTOR_REQUIRED_IF: list[tuple[Any, ...]] = [
    ("state", "present", ("datacenter", "datastore", "vm_template")),
    ("state", "present", ("cluster", "esxi_host"), True),
]
#: Which arguments of ``connector_arguments`` the module vsphere_selftest has.
SELFTEST_PLACEMENT = (
    "datacenter",
    "cluster",
    "esxi_host",
    "resource_pool",
    "datastore",
    "folder",
    "network",
    "storage_policy",
    "vm_template",
)


def environment(variable: str) -> str:
    """Return the value of an environment variable for an option that is not set. An empty value counts as not set.

    Raises:
        AnsibleFallbackNotFound: the variable is not set.
    """
    value = env_fallback(variable)
    if not value.strip():
        raise AnsibleFallbackNotFound
    return value


def repository_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the argument for the repository that a module reads."""
    return {"repository": {"type": "path", "required": required, "fallback": (environment, ["STRATA_REPOSITORY"])}}


def change_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the arguments of modules that change the repository: its path and the comment in the audit history."""
    return dict(repository_arguments(required=required), comment={"type": "str"})


def vsphere_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the arguments of the connection to vCenter; the names are those of vmware.vmware."""
    return {
        "hostname": {"type": "str", "required": required, "fallback": (environment, ["VMWARE_HOST"])},
        "username": {
            "type": "str",
            "required": required,
            "aliases": ["user", "admin"],
            "fallback": (environment, ["VMWARE_USER"]),
        },
        "password": {
            "type": "str",
            "required": required,
            "no_log": True,
            "aliases": ["pass", "pwd"],
            "fallback": (environment, ["VMWARE_PASSWORD"]),
        },
        "validate_certs": {"type": "bool", "default": True, "fallback": (environment, ["VMWARE_VALIDATE_CERTS"])},
        "port": {"type": "int", "default": 443, "fallback": (environment, ["VMWARE_PORT"])},
        "ca_path": {"type": "path", "fallback": (environment, ["VMWARE_CA_PATH"])},
        "proxy_host": {"type": "str", "fallback": (environment, ["VMWARE_PROXY_HOST"])},
        "proxy_port": {"type": "int", "fallback": (environment, ["VMWARE_PROXY_PORT"])},
    }


def horizon_arguments(*, required: bool = True) -> dict[str, Any]:
    """Return the arguments of the connection to a Horizon Connection Server."""
    return {
        "hostname": {"type": "str", "required": required, "fallback": (environment, ["HORIZON_HOST"])},
        "username": {"type": "str", "required": required, "fallback": (environment, ["HORIZON_USERNAME"])},
        "domain": {"type": "str", "fallback": (environment, ["HORIZON_DOMAIN"])},
        "password": {
            "type": "str",
            "required": required,
            "no_log": True,
            "fallback": (environment, ["HORIZON_PASSWORD"]),
        },
        "validate_certs": {"type": "bool", "default": True, "fallback": (environment, ["HORIZON_VALIDATE_CERTS"])},
        "port": {"type": "int", "default": 443, "fallback": (environment, ["HORIZON_PORT"])},
        "ca_path": {"type": "path", "fallback": (environment, ["HORIZON_CA_PATH"])},
        "proxy_host": {"type": "str", "fallback": (environment, ["HORIZON_PROXY_HOST"])},
        "proxy_port": {"type": "int", "fallback": (environment, ["HORIZON_PROXY_PORT"])},
        "api_log": {"type": "path"},
    }


def horizon_servers_arguments() -> dict[str, Any]:
    """Return the argument for the Connection Servers that are asked before VMs of images are deleted.

    No environment variable is used: a playbook that does not set the option does not connect to Horizon.
    """
    options = horizon_arguments()
    for option in options.values():
        option.pop("fallback", None)
    return {"horizon": {"type": "list", "elements": "dict", "default": [], "options": options}}


def transfer_arguments() -> dict[str, Any]:
    """Return the argument of modules that transfer disks to or from ESXi hosts."""
    return {"stall_timeout": {"type": "int", "default": 900}}


def share_arguments() -> dict[str, Any]:
    """Return the arguments for the credentials of an SMB share, whose location is //server/share/path."""
    return {
        "file_share_username": {"type": "str", "fallback": (environment, ["STRATA_FILE_SHARE_USERNAME"])},
        "file_share_password": {
            "type": "str",
            "no_log": True,
            "fallback": (environment, ["STRATA_FILE_SHARE_PASSWORD"]),
        },
        "file_share_encrypt": {
            "type": "bool",
            "default": True,
            "fallback": (environment, ["STRATA_FILE_SHARE_ENCRYPT"]),
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
        exclusions={"type": "list", "elements": "dict", "default": [], "options": _exclusion_options()},
        finalize={"type": "str", "choices": ["enforce", "warn", "ignore"], "default": "enforce"},
        office_activation={"type": "bool", "default": True},
        noise_profile={"type": "str", "choices": ["auto", "ignore"], "default": "auto"},
    )


def _exclusion_options() -> dict[str, Any]:
    """Return the suboptions of a rule that leaves a change out of a captured layer."""
    return {
        "path": {"type": "str"},
        "key": {"type": "str", "no_log": False},
        "value": {"type": "str"},
        "database": {"type": "str"},
        "action": {"type": "str", "choices": ["exclude", "include"]},
        "reason": {"type": "str"},
    }


def template_arguments() -> dict[str, Any]:
    """Return the arguments that define an image template."""
    return {
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "default": ""},
        "os_layer": {"type": "dict", "options": layer_version_options()},
        "app_layers": {"type": "list", "elements": "dict", "default": [], "options": layer_version_options()},
        "platform_layer": {"type": "dict", "options": layer_version_options()},
        "connector": {"type": "str"},
        "disk_size_gb": {"type": "int"},
        "vm_name": {"type": "str"},
        "outdated_files": {
            "type": "str",
            "choices": ["newest_system", "layer", "os", "newest", "fail"],
            "default": "newest_system",
        },
        "registry_lists": {"type": "list", "elements": "dict", "default": []},
        "publish_mode": {"type": "str", "choices": ["automatic", "manual"], "default": "automatic"},
        "script": {"type": "path"},
        "icon": {"type": "path"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }


def image_template_arguments() -> dict[str, Any]:
    """Return the arguments of the module image_template.

    Options without a value are copied from the source of a clone. The operation has the defaults of the others.
    """
    arguments = dict(change_arguments(), **template_arguments())
    for name in ("description", "app_layers", "outdated_files", "registry_lists", "publish_mode"):
        del arguments[name]["default"]
    return dict(arguments, clone_from={"type": "str"}, rename_from={"type": "str"})


def connector_arguments() -> dict[str, Any]:
    """Return the arguments that define a connector."""
    return {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "choices": ["vsphere"], "default": "vsphere"},
        "description": {"type": "str", "default": ""},
        "datacenter": {"type": "str"},
        "cluster": {"type": "str"},
        "esxi_host": {"type": "str", "aliases": ["esxi_hostname"]},
        "resource_pool": {"type": "str"},
        "datastore": {"type": "str"},
        "folder": {"type": "str", "default": ""},
        "network": {"type": "str"},
        "storage_policy": {"type": "str"},
        "vm_template": {"type": "str"},
        "script": {"type": "path"},
        "custom_attributes": {"type": "dict", "default": {}},
        "vtpm": {"type": "str", "choices": ["refuse", "warn", "allow"], "default": "refuse"},
        "test": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }


def check_entry(entry: dict[str, Any], arguments: dict[str, Any], required_if: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Check an element of an option as the options of a module with these ``arguments`` are checked.

    Return the options with their defaults, as ``params``, and the error that the module would report, as ``problem``.
    """
    values, specification = copy.deepcopy(entry), dict(arguments, comment={"type": "str"})
    try:
        prepare_options(values, specification, required_if)
    except StrataError as error:
        return {"params": entry, "problem": error}
    found = ArgumentSpecValidator(specification, required_if=required_if).validate(values)
    problem = None
    if found.error_messages:
        problem = InvalidInput(
            f"The options of {entry.get('name')!r} are not valid: {found.error_messages[0]}.",
            code="common.entry_invalid",
            hint="Correct these options.",
        )
    return {"params": found.validated_parameters, "problem": problem}


def app_layer_arguments() -> dict[str, Any]:
    """Return the arguments of the module app_layer."""
    return dict(change_arguments(), **share_arguments(), **software_layer_arguments(), priority={"type": "int"})


def platform_layer_arguments() -> dict[str, Any]:
    """Return the arguments of the module platform_layer."""
    return dict(
        change_arguments(),
        **share_arguments(),
        **software_layer_arguments(),
        confirmed_for={"type": "list", "elements": "str", "default": []},
    )


def os_layer_arguments() -> dict[str, Any]:
    """Return the arguments of the module os_layer."""
    return dict(
        change_arguments(),
        **share_arguments(),
        **layer_arguments(),
        max_layer_size_gb={"type": "int"},
        connector={"type": "str"},
        file_share={"type": "path"},
        ovf_package={"type": "str", "aliases": ["packaging_disk"]},
        readiness={"type": "str", "choices": ["enforce", "warn", "ignore"], "default": "warn"},
        noise_profile={
            "type": "dict",
            "options": {
                "packaged_disk": {"type": "path"},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            },
        },
    )


def layer_cleanup_arguments() -> dict[str, Any]:
    """Return the arguments of the module layer_cleanup."""
    kinds = ["os", "app", "platform"]
    return dict(
        change_arguments(),
        kinds={"type": "list", "elements": "str", "choices": kinds, "default": kinds},
        names={"type": "list", "elements": "str", "default": ["*"]},
        exclude={"type": "list", "elements": "str", "default": []},
        keep_newest={"type": "int"},
        unused_for_days={"type": "int"},
        never_used={"type": "bool"},
    )


def layer_clone_arguments() -> dict[str, Any]:
    """Return the arguments of the module layer_clone."""
    return dict(
        change_arguments(),
        kind={"type": "str", "choices": ["os", "app", "platform"], "required": True},
        name={"type": "str", "required": True},
        version={"type": "str", "required": True},
        clone_from={"type": "dict", "required": True, "options": layer_version_options(version_required=False)},
        description={"type": "str"},
        version_description={"type": "str"},
        priority={"type": "int"},
        icon={"type": "path"},
    )


def layer_metadata_arguments() -> dict[str, Any]:
    """Return the arguments of the module layer_metadata."""
    return dict(
        change_arguments(),
        kind={"type": "str", "choices": ["os", "app", "platform"], "required": True},
        name={"type": "str", "required": True},
        version={"type": "str"},
        rename_from={"type": "dict", "options": {"name": {"type": "str"}, "version": {"type": "str"}}},
        description={"type": "str"},
        version_description={"type": "str"},
        priority={"type": "int"},
        connector={"type": "str"},
        icon={"type": "path"},
    )


def selftest_arguments() -> dict[str, Any]:
    """Return the arguments of the module vsphere_selftest without those of the connection to vCenter."""
    connector = connector_arguments()
    return dict(
        repository_arguments(required=False),
        connector={"type": "str"},
        **{name: connector[name] for name in SELFTEST_PLACEMENT},
        report={"type": "path", "default": "~/strata-layering-selftest"},
        size_mb={"type": "int", "default": 64},
        keep_vm_on_failure={"type": "bool", "default": False},
        timeout={"type": "int", "default": 3600},
    )
