# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/vsphere-permissions.md from the table of privileges in plugins/module_utils/vsphere/privileges.py.

    permissions.py [--write]

Without --write the tool only checks that the page is up to date, and returns 1 if it is not.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import sys
from types import ModuleType

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_TABLE = _CHECKOUT / "plugins" / "module_utils" / "vsphere" / "privileges.py"
PAGE = _CHECKOUT / "docs" / "vsphere-permissions.md"
_WIDTH = 120

#: Scope -> role, inventory path in the examples, and how PowerCLI finds the object. A folder that does not exist yet has no role
#: of its own: its parent needs the same role.
_ROLES = {
    "ROOT": ("strata-layering-root", "/", "Get-Folder -NoRecursion"),
    "FOLDER": ("strata-layering-images", "/Berlin/vm/Images", "Get-Folder -Name Images"),
    "COMPUTE": ("strata-layering-compute", "/Berlin/host/Desktops", "Get-Cluster -Name Desktops"),
    "DATASTORE": ("strata-layering-datastore", "/Berlin/datastore/Desktops-1", "Get-Datastore -Name Desktops-1"),
    "NETWORK": ("strata-layering-network", "/Berlin/network/Desktops", "Get-VDPortgroup -Name Desktops"),
    "MACHINE": ("strata-layering-os", "/Berlin/vm/OS", "Get-Folder -Name OS"),
}

_HEADER = """\
# vSphere permissions

The account of the composer needs no administrator role. This page lists its privileges, and the commands that create the roles.
The page is generated from the table that the preflight check `privileges` uses: `tests/tools/permissions.py --write` writes it.

The privileges are those that the vSphere API reference names for the calls of the modules. The tests run publishes, exports,
packaging machines and the role `os_machine` with exactly these privileges on the vSphere simulator, which enforces them. They were
not tried in a real vCenter. A role that a user defines always contains System.Anonymous, System.View and System.Read.

"""

_AFTER_TABLES = """\
The permission on the root folder must propagate to children. Without it, objects cannot be found by their names, and VMs can be
hidden from the account; see [hidden VMs](#accounts-that-do-not-see-everything).

The other roles belong on the objects that the connectors name: the folder, the cluster (or the ESXi host, or the resource pool),
the datastore and each network. They must propagate to children, because the VMs inherit their privileges from the folder. An account
has one role on an object, and this role replaces what the object inherits. If two of the roles belong on the same object, create
one role with the privileges of both.

If the modules shall create the folder, set the role of the folder on the folder above. Otherwise, Folder.Create is not needed.

## Check

`connector` with `test: true` reports the check `privileges`, and every publish and every packaging machine begins with it. It
names each missing privilege with the inventory path of the object, before anything is composed or changed. vCenter answers the
question with one call, `HasUserPrivilegeOnEntities`. What the user lacks by this answer is asked for the session too,
`HasPrivilegeOnEntities`, because vCenter may not find all groups of a user by name. If it refuses the answer, the check is a warning.

"""

_FOOTER = """\
## Accounts that do not see everything

vCenter hides objects on which an account has no permission. Before a VM is deleted (`keep` and `state: absent` of
`layered_image_publish`, `state: absent` of `packaging_machine`), the modules look for linked clones that depend on its disk. Horizon keeps its internal
template, which depends on the golden image, in a folder of its own (ClonePrepInternalTemplateFolder).

A VM with snapshots is therefore kept, with a warning or an error, in two cases:

* The account has no System.Read on the root folder, or that permission does not propagate.
* vCenter counts VMs on the datastores of the VM that the account cannot see.

An account with a permission on the root folder that propagates, and with the role *No access* on a folder below, is not recognized if vCenter does not
count the hidden VMs. Do not give the account that role.

To publish without System.Read everywhere, give the account the role *Read-only*, without propagation, on the root folder, the
datacenter, the folders above the objects, the cluster with its hosts, and the VM template. Delete old images in the vSphere Client then.
"""


def _table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("strata_privileges", _TABLE)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_TABLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _folded(terms: list[str], indent: str, end: str) -> str:
    """Return a command in lines of limited width; ``end`` continues a line."""
    lines, line = [], ""
    for term in terms:
        if line and len(line) + len(term) > _WIDTH:
            lines.append(line.rstrip() + end)
            line = indent
        line += term + " "
    return "\n".join([*lines, line.rstrip()])


def text() -> str:
    """Return the page."""
    table = _table()
    parts = [_HEADER]
    roles = {}
    for scope in table.Scope:
        if scope is table.Scope.PARENT:
            continue
        scopes = {scope, table.Scope.PARENT} if scope is table.Scope.FOLDER else {scope}
        listed = [privilege for privilege in table.PRIVILEGES if privilege.scope in scopes]
        role, _path, _finder = _ROLES[scope.name]
        roles[scope.name] = list(dict.fromkeys(privilege.id for privilege in listed))
        parts.append(f"## Role {role}\n\nObject: {scope.value}.\n\n| privilege | for | used by |\n|---|---|---|\n")
        for privilege in listed:
            case = f"; {privilege.need.value}" if privilege.need.value else ""
            users = ", ".join(f"`{task.value}`" for task in privilege.tasks)
            parts.append(f"| {privilege.id} | {privilege.purpose}{case} | {users} |\n")
        parts.append("\n")
    parts += [_AFTER_TABLES, _govc(roles), _power_cli(roles), _FOOTER]
    return "".join(parts)


def _govc(roles: dict[str, list[str]]) -> str:
    lines = ["## govc\n\nReplace the name of the account and the inventory paths.\n\n"]
    for scope, privileges in roles.items():
        command = _folded(["govc role.create", _ROLES[scope][0], *privileges], "    ", " \\")
        lines += [f"    {line}\n" for line in command.split("\n")]
    for scope in roles:
        role, path, _finder = _ROLES[scope]
        lines.append(
            f"    govc permissions.set -principal layering@vsphere.local -role {role} -propagate=true {path}\n"
        )
    return "".join(lines) + "\n"


def _power_cli(roles: dict[str, list[str]]) -> str:
    lines = ["## PowerCLI\n\n"]
    for scope, privileges in roles.items():
        terms = [f"New-VIRole -Name {_ROLES[scope][0]} -Privilege (Get-VIPrivilege -Id"]
        terms += [f"{name}," for name in privileges[:-1]] + [f"{privileges[-1]})"]
        lines += [f"    {line}\n" for line in _folded(terms, "    ", "").split("\n")]
    for scope in roles:
        role, _path, finder = _ROLES[scope]
        lines.append(
            f"    New-VIPermission -Principal 'VSPHERE.LOCAL\\layering' -Role {role} -Propagate:$true -Entity ({finder})\n"
        )
    return "".join(lines) + "\n"


def main() -> int:
    """Check or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    page = text()
    if parser.parse_args().write:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.stdout.write(
            "docs/vsphere-permissions.md: differs from the table; run tests/tools/permissions.py --write\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
