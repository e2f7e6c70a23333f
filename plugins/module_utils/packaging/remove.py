# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State absent: delete a packaging machine, its record and, if requested, its package."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from ..common.errors import Conflict
from ..common.outcome import Outcome
from ..publish.machine.machine_state import remove_machine
from ..publish.retiring.clones import Clones
from ..shares.open import open_share
from .context import PackagingContext
from .decision import FINAL, Goal, Observation, PackagingState, Step, after, next_step
from .machine import machine_prefix


@dataclass(frozen=True)
class _DiffState:
    """The existing parts of a packaging machine, as diff mode shows them: inventory path, record, and folder of the package."""

    machine: str | None
    recorded: bool
    package: str | None


def ensure_absent(context: PackagingContext) -> Outcome:
    """Delete the packaging machine and, if requested, its package.

    Raises:
        Conflict: ``packaging.cloned`` if linked clones depend on its disk; ``packaging.hidden_clones`` if they may be hidden; as ``remove_machine``.
    """
    from ..vsphere.transfer import vm_export

    folder = _package_folder(context)
    expired = folder if context.request.remove_package else None
    before = _DiffState(context.facts.path if context.facts else None, context.record is not None, folder)
    result_state = _DiffState(None, False, None if expired else folder)
    observation = Observation(context.state, has_record=context.record is not None, package_due=expired is not None)
    if next_step(observation, Goal.ABSENT) is Step.GONE:
        return Outcome(False, asdict(before), asdict(result_state))
    _refuse_clones(context)
    while not context.check_mode and (step := next_step(observation, Goal.ABSENT)) not in FINAL:
        if step is Step.REMOVE_VM and context.facts is not None:
            remove_machine(context.session, context.facts)
        elif step is Step.REMOVE_PACKAGE and expired is not None:
            share = open_share(expired, context.request.credentials)
            vm_export.remove_export(share, os.path.basename(expired))
        elif step is Step.FORGET:
            context.remove_record()
            context.audit("delete", machine=before.machine, package=expired)
        observation = after(observation, step)
    return Outcome(True, asdict(before), asdict(result_state))


def _refuse_clones(context: PackagingContext) -> None:
    if context.facts is None or context.state is PackagingState.ABSENT:
        return
    known_clones = Clones(context.session)
    clones = known_clones.of(context.facts)
    if clones:
        verb = "depends" if len(clones) == 1 else "depend"
        raise Conflict(
            f"The packaging machine {context.facts.path} of the {context.request.layer_label} cannot be deleted: {', '.join(clones)} {verb} on its disk.",
            code="packaging.cloned",
            hint="Delete the linked clones first, or convert them to full clones.",
            machines=clones,
        )
    hidden = known_clones.hidden_clause(context.facts)
    if hidden:
        raise Conflict(
            f"The packaging machine {context.facts.path} of the {context.request.layer_label} cannot be deleted: {hidden}.",
            code="packaging.hidden_clones",
            hint="Give the user the role Read-only on the root folder of vCenter, with propagation, or delete the VM in the vSphere Client.",
        )


def _package_folder(context: PackagingContext) -> str | None:
    """Return the folder of the exported package, None when there is none.

    Raises:
        Conflict: ``packaging.other_package`` if the options name the package of a different VM, which is to be removed.
    """
    from ..vsphere.transfer.export_record import file_name, load_record

    request = context.request
    known = context.record.package if context.record else None
    folder = known
    if folder is None and request.file_share and request.package:
        folder = open_share(request.file_share, request.credentials).where(request.package)
    if folder is None:
        return None
    export = load_record(open_share(folder, request.credentials), file_name(os.path.basename(folder)))
    if export is None:
        return None
    # Records of release 0.1 do not name the VM.
    own = not export.vm_name or export.vm_name.startswith(machine_prefix(request.name, request.version))
    if known is None and request.remove_package and not own:
        raise Conflict(
            f"The package in {folder} contains the VM {export.vm_name}, which is not a packaging machine of the "
            f"{request.layer_label}.",
            code="packaging.other_package",
            hint="Correct file_share and package, or set remove_package to false.",
            vm=export.vm_name,
        )
    return folder
