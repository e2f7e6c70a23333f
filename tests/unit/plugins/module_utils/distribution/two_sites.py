# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories with small layers, and a folder as the remote between them."""

from __future__ import annotations

import pathlib

from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.names import Naming
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.local import Local
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.remote import Remote
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.known import known_templates
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.plan import Plan, Rules, make_plan
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.selection import Selection
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.transfer import Transfer
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.tests.support import small_layers

WINDOWS = VersionName("Windows 11", "24H2")
EDITOR = VersionName("Editor", "1.0")
EVERYTHING = Selection(everything=True)


def filled(path: pathlib.Path) -> Repository:
    """Return a repository with an OS layer, an app layer, a connector and the template office."""
    repository = Repository.open(str(path), create=True)
    small_layers.add_connector(repository)
    small_layers.add_os_layer(repository, WINDOWS.name, WINDOWS.version, b"disk" * 1000)
    small_layers.add_app_layer(repository, EDITOR.name, EDITOR.version, os_layer=WINDOWS)
    small_layers.put_template(repository, "office", WINDOWS, (EDITOR,))
    return repository


def empty(path: pathlib.Path) -> Repository:
    """Return a repository with a connector only."""
    repository = Repository.open(str(path), create=True)
    small_layers.add_connector(repository)
    return repository


def folder_remote(path: pathlib.Path, *, flat: bool = False) -> Remote:
    """Return the remote in a folder, which is created."""
    path.mkdir(exist_ok=True)
    return Remote(Folder(LocalShare(str(path)), create=True), Naming("windows", flat), identity="folder")


def plan_push(
    repository: Repository, remote: Remote, selection: Selection = EVERYTHING, *, force: bool = False
) -> Plan:
    """Plan a push."""
    rules = Rules(pull=False, known=known_templates(repository, remote.identity), force=force)
    return make_plan(Local(repository), remote, selection, rules)


def plan_pull(
    repository: Repository,
    remote: Remote,
    selection: Selection = EVERYTHING,
    *,
    connectors: dict[str, str] | None = None,
    force: bool = False,
) -> Plan:
    """Plan a pull."""
    known = known_templates(repository, remote.identity)
    rules = Rules(pull=True, known=known, connectors=connectors or {}, force=force)
    return make_plan(remote, Local(repository), selection, rules)


def push(repository: Repository, remote: Remote, selection: Selection = EVERYTHING, *, force: bool = False) -> Plan:
    """Push; return the plan that was carried out."""
    plan = plan_push(repository, remote, selection, force=force)
    Transfer(plan, Local(repository)).apply()
    return plan


def pull(repository: Repository, remote: Remote, selection: Selection = EVERYTHING, *, force: bool = False) -> Plan:
    """Pull; return the plan that was carried out."""
    plan = plan_pull(repository, remote, selection, force=force)
    Transfer(plan, Local(repository)).apply()
    return plan


def actions(plan: Plan) -> dict[str, str]:
    """Return the action of each item by its name."""
    return {str(step.item): step.action.value for step in plan.steps}
