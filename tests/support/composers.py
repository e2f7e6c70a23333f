# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composers that share a registry in memory as their repository of record."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from ...plugins.module_utils.distribution.items.names import Naming
from ...plugins.module_utils.distribution.record.connection import RecordConnection
from ...plugins.module_utils.distribution.record.synchronization import Synchronization, SyncResult
from ...plugins.module_utils.distribution.sides.remote import Guard
from ...plugins.module_utils.repository.repository import Repository
from ...plugins.module_utils.repository.upstream import UpstreamSettings
from .shared_registry import SharedBackend, SharedRegistry

LOCATION = "registry.example.com/windows"


@dataclass
class Composer:
    """A composer with a repository in ``path``. ``before_request`` is called before each request to the registry."""

    path: str
    registry: SharedRegistry
    before_request: Callable[[str, str], None] = lambda method, repository: None
    guard: Guard | None = None
    repository: Repository = field(init=False)
    connection: RecordConnection = field(init=False)

    def __post_init__(self) -> None:
        if not os.path.isdir(self.path):
            Repository.open(self.path, create=True).set_upstream(UpstreamSettings(registry=LOCATION))
        self.repository = Repository.open(self.path)
        self.connection = RecordConnection(
            self.repository,
            LOCATION,
            "the registry registry.example.com",
            Naming("windows"),
            lambda: SharedBackend(self.registry, self._before_request),
            lambda signing: self.guard,
        )
        self.repository.attach(self.connection)

    def _before_request(self, method: str, repository: str) -> None:
        self.before_request(method, repository)

    def sync(self, *, check_mode: bool = False, full: bool = False) -> SyncResult:
        """Synchronize the repository."""
        return Synchronization(self.repository, self.connection).run(check_mode=check_mode, full=full)

    def documents(self) -> dict[str, dict[str, dict]]:
        """Return the documents of layers and templates by kind and name."""
        kinds = ("os_layer", "app_layer", "platform_layer", "image_template")
        return {kind: dict(self.repository.catalog.documents(kind)) for kind in kinds}
