# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of record in memory, for tests of the packages that know only its protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...plugins.module_utils.common.errors import NotFound, StrataError, Unavailable
from ...plugins.module_utils.common.progress import Progress, silent


class UpstreamInMemory:
    """Blobs by digest, and a list of the calls; ``offline`` lets every call fail, ``refusal`` every change."""

    label = "the registry registry.example.com"

    def __init__(self) -> None:
        self.progress: Progress = silent
        self.blobs: dict[str, bytes] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.offline = False
        self.refusal: StrataError | None = None
        self.pause = 0.0
        self.on_change: Callable[[], None] = lambda: None

    def _call(self, *call: Any) -> None:
        if self.offline:
            raise Unavailable(
                "The registry registry.example.com cannot be reached.",
                code="oci_registry.connection",
                hint="Check the network.",
            )
        self.calls.append(call)

    def has(self, manifests: Sequence[str], digest: str, size: int) -> bool:
        """Return whether the blob exists."""
        self._call("has", digest)
        return digest in self.blobs

    def fetch(self, manifests: Sequence[str], digest: str, size: int, target: str, progress: Progress) -> None:
        """Write the blob to a file."""
        self._call("fetch", digest)
        if digest not in self.blobs:
            raise NotFound("The registry does not have the blob.", code="distribution.upstream_blob")
        time.sleep(self.pause)
        with open(target, "wb") as stream:
            stream.write(self.blobs[digest])
        progress("fetch", size, size)

    def before_build(self, kind: str, name: str, version: str) -> None:
        """Record the call."""
        self._call("before_build", kind, name, version)

    def upload(self, manifest: str, progress: Progress = silent) -> None:
        """Record the call."""
        self._call("upload", manifest)

    def before_rename(self, kind: str, name: str) -> None:
        """Record the call."""
        self._call("before_rename", kind, name)

    def before_change(
        self, kind: str, name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> None:
        """Record the call, or refuse the change."""
        self._call("before_change", kind, name, before is not None, after is not None)
        self.on_change()
        if self.refusal is not None:
            raise self.refusal
