# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_transfer: push, pull and delete layer versions and templates."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...common.errors import InvalidInput
from ...common.outcome import Outcome
from ...common.progress import Progress
from ...distribution.sides.local import Local
from ...distribution.sides.remote_writer import RemoteWriter
from ...distribution.signatures.trust import SignatureGuard
from ...distribution.transfers.known import known_templates
from ...distribution.transfers.plan import Plan, Rules, make_plan
from ...distribution.transfers.removal import plan_removal, remove
from ...distribution.transfers.transfer import Transfer
from ...distribution.transfers.unsigned import Unsigned, find_unsigned, sign_unsigned
from . import transfer_results
from .remote_options import RemoteOptions
from .remote_side import open_remote
from .transfer_options import LayerTransferOptions, TransferState

_UNCHECKED = "The certificate of the registry is not checked because validate_certs is false."
_PLAIN = "The connection to the registry is not encrypted because plain_http is true."


def ensure_transferred(options: LayerTransferOptions, *, check_mode: bool, progress: Progress) -> Outcome:
    """Bring layers and templates where they should be.

    Raises:
        Conflict: a side has other content: the first conflict, with all conflicts in its details; nothing was transferred.
            ``distribution.needed`` if something to delete is in use.
        Untrusted: content is not signed as the policy requires.
        StrataError: a side cannot be opened, read or written. What arrived is complete, and the next run continues.
    """
    local = Local(options.repository.open(check_mode=check_mode))
    if options.state is TransferState.ABSENT:
        outcome = _absent(options, local, check_mode)
    else:
        outcome = _transferred(options, local, check_mode, progress)
    outcome.warnings += _connection_warnings(options.remote)
    return outcome


def _transferred(options: LayerTransferOptions, local: Local, check_mode: bool, progress: Progress) -> Outcome:
    pull = options.state is TransferState.PULLED
    if pull and options.verification.required and options.remote.other_repository is not None:
        raise InvalidInput(
            f"Signatures are required, but content of the repository {options.remote.other_repository} cannot be verified: "
            "a repository stores image templates and metadata without signatures.",
            code="operations.transfer_unverified",
            hint="Pull from a registry, folder or file to which signed content was pushed, or set signatures to optional.",
        )
    guard = options.verification.guard() if pull else options.signing.guard()
    remote_options = options.remote.remembering_uploads(os.path.join(local.repository.path, "tmp"))
    with open_remote(remote_options, guard, create=not pull, writable=not pull and not check_mode) as remote:
        rules = Rules(
            pull=pull,
            known=known_templates(local.repository, remote.identity),
            connectors=options.connectors,
            force=options.force,
        )
        source, target = (remote, local) if pull else (local, remote)
        plan = make_plan(source, target, options.selection, rules)
        plan.refuse_conflicts()
        unsigned = find_unsigned(plan, guard)
        if check_mode:
            moved = transfer_results.expected_bytes(plan)
        else:
            moved = Transfer(plan, local, options.repository.comment, progress).apply()
            if not isinstance(remote, Local):
                comment = options.repository.comment
                sign_unsigned(unsigned, RemoteWriter(remote, local, comment), guard)
                for found in unsigned:
                    local.note_transfer("sign", found.item, found.digest, remote.identity, comment)
        results = transfer_results.TransferResults(plan, moved, {found.item for found in unsigned})
        result = results.result() | {"signed": _count_signed(plan, unsigned, guard, pull)}
        warnings = [*plan.warnings, *guard.warnings]
        if pull and not plan.steps:
            warnings.append(
                f"{remote.label[0].upper()}{remote.label[1:]} has no layers and templates. Check the location, and the option flat."
            )
        return Outcome(plan.changed or bool(unsigned), *results.difference(), result=result, warnings=warnings)


def _count_signed(plan: Plan, unsigned: Sequence[Unsigned], guard: SignatureGuard, pull: bool) -> int:
    if pull or guard.key is None or isinstance(plan.target, Local):
        return 0
    return sum(step.changes for step in plan.steps) + len(unsigned)


def _absent(options: LayerTransferOptions, local: Local, check_mode: bool) -> Outcome:
    comment = options.repository.comment
    with open_remote(options.remote, None, create=False, writable=not check_mode) as remote:
        if isinstance(remote, Local):
            raise InvalidInput(
                "Layers of a different repository cannot be deleted with layer_transfer.",
                code="operations.transfer_absent",
                hint="Use app_layer, platform_layer, os_layer and image_template with state absent and that repository.",
            )
        stored = plan_removal(remote, options.selection)
        if stored and not check_mode:
            writer = RemoteWriter(remote, local, comment)
            with writer.claim("delete layers and templates") as claim:
                # Another composer may have pushed something that needs a layer version.
                stored = plan_removal(remote, options.selection)
                for found in stored:
                    claim.renew()
                    remove(writer, found)
                    local.note_transfer("delete", found.item, found.digest, remote.identity, comment)
        before = transfer_results.difference_of_removal(stored)
        result = transfer_results.result_of_removal(remote.label, stored)
        return Outcome(bool(stored), before, {}, result)


def _connection_warnings(remote: RemoteOptions) -> list[str]:
    if remote.registry is None:
        return []
    if remote.registry.plain_http:
        return [] if remote.registry.address.is_loopback else [_PLAIN]
    return [] if remote.registry.validate_certs else [_UNCHECKED]
