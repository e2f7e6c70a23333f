# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of record that ``RepositoryOptions.open`` attaches: what it needs is imported when it is first used.

Most calls of modules change nothing and fetch nothing, and Ansible compiles every imported file at each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...common.progress import Progress, silent
from ...repository.repository import Repository
from ...repository.upstream import UpstreamSettings

if TYPE_CHECKING:
    from ...distribution.record.connection import RecordConnection


class RecordUpstream:
    """The registry of record of ``repository``; see ``repository.upstream.Upstream`` for its methods."""

    def __init__(self, repository: Repository, settings: UpstreamSettings) -> None:
        self.progress: Progress = silent
        self._repository = repository
        self._settings = settings
        self._connection: RecordConnection | None = None

    def open(self) -> RecordConnection:
        """Return the connection, which sends no request before one of its methods is called.

        Raises:
            InvalidInput: as ``open_record``.
        """
        if self._connection is None:
            from .record_opener import open_record

            self._connection = open_record(self._repository, self._settings)
        self._connection.progress = self.progress
        return self._connection

    @property
    def label(self) -> str:
        """The name of the registry in messages."""
        return self.open().label

    def has(self, manifests: Sequence[str], digest: str, size: int) -> bool:
        """Return whether the registry has a blob."""
        return self.open().has(manifests, digest, size)

    def fetch(self, manifests: Sequence[str], digest: str, size: int, target: str, progress: Progress) -> None:
        """Write a blob into a file."""
        self.open().fetch(manifests, digest, size, target, progress)

    def before_build(self, kind: str, name: str, version: str) -> None:
        """Check that the registry can take a new layer version."""
        self.open().before_build(kind, name, version)

    def upload(self, manifest: str, progress: Progress = silent) -> None:
        """Send the blobs and the manifest of a layer version."""
        self.open().upload(manifest, progress)

    def before_change(
        self, kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> None:
        """Change a layer or template in the registry."""
        self.open().before_change(kind, name, before, after)

    def before_rename(self, kind: str, name: str) -> None:
        """Check that no other composer has changed the registry."""
        self.open().before_rename(kind, name)


def attach_upstream(repository: Repository, settings: UpstreamSettings) -> RecordUpstream:
    """Let a repository use its registry of record."""
    upstream = RecordUpstream(repository, settings)
    repository.attach(upstream)
    return upstream
