# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conflicts between a repository and its registry of record."""

from __future__ import annotations

from ...common.errors import Conflict

_SYNCHRONIZE = "Run strata.layering.repository with state synced, check the change, and run again."


def changed_by_others(subject: str, label: str) -> Conflict:
    """Return the error for something that another composer has changed or deleted since the last synchronization."""
    return Conflict(
        f"Another composer changed the {subject} in {label}.",
        code="distribution.upstream_changed",
        hint=_SYNCHRONIZE,
        subject=subject,
    )


def made_by_others(subject: str, label: str) -> Conflict:
    """Return the error for a layer version that another composer made, or an earlier run that was killed."""
    return Conflict(
        f"The {subject} exists in {label} already: another composer made it, or a run that was interrupted.",
        code="distribution.upstream_version",
        hint="Run strata.layering.repository with state synced to use that version, or set version to a new version.",
        subject=subject,
    )


def behind(subject: str, label: str) -> Conflict:
    """Return the error for a deletion by a repository that is not up to date: another composer may need the version."""
    return Conflict(
        f"The {subject} cannot be deleted: other composers have changed {label} since the last synchronization.",
        code="distribution.upstream_behind",
        hint=_SYNCHRONIZE,
        subject=subject,
    )


def behind_rename(subject: str, label: str) -> Conflict:
    """Return the error for a rename by a repository that is not up to date: it would change only some of the documents."""
    return Conflict(
        f"The {subject} cannot be renamed: other composers have changed {label} since the last synchronization.",
        code="distribution.upstream_behind",
        hint=_SYNCHRONIZE,
        subject=subject,
    )
