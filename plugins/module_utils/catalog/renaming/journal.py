# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit record of a rename, and the completion of renames that were interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...repository.repository import Repository
from ..rename_record import RenameRecord


def audit_rename(repository: Repository, record: RenameRecord, details: Mapping[str, Any]) -> None:
    """Write the audit record of a rename, unless a run that was interrupted has written it."""
    written = repository.audit.read(kinds=(record.kind,), name=record.new_name, since=record.started)
    if any(found.get("details", {}).get("rename") == record.id for found in written):
        return
    names = {"name": {"before": record.name, "after": record.new_name}} if record.new_name != record.name else {}
    repository.audit.append(
        "rename",
        record.kind,
        record.new_name,
        comment=record.comment,
        details={"rename": record.id, **names, **details},
    )
