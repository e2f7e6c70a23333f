# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of layers without the bytes of files: compared with or without the times of files and keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...catalog import layer_store
from ...layers.file_index import Record, content_digest
from ...layers.layer_version import LayerReference
from ...repository.repository import Repository

if TYPE_CHECKING:
    from ...winregistry.delta import KeyDelta

_SHOWN = 3
_TIMES = ("created", "written", "accessed", "changed")


@dataclass(frozen=True)
class LayerContent:
    """The records of a layer's file index, and its registry deltas by the name of the hive."""

    records: Sequence[Record]
    hives: Sequence[tuple[str, bytes]]

    @property
    def digest(self) -> str:
        """The content digest."""
        return layer_store.with_hives(content_digest(self.records), self.hives)

    def at(self, time: int) -> LayerContent:
        """Return the same content with ``time`` (a FILETIME) for all times of files and keys."""
        return LayerContent(
            [_record_at(record, time) for record in self.records],
            [(name, _delta_at(name, data, time)) for name, data in self.hives],
        )

    def difference(self, other: LayerContent) -> str:
        """Return what differs from ``other``, as the end of a sentence."""
        mine, others = self._by_path(), other._by_path()
        paths = sorted(path for path in mine.keys() | others.keys() if mine.get(path) != others.get(path))
        parts = []
        if paths:
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            parts.append(f"{', '.join(paths[:_SHOWN])}{more}")
        if sorted(self.hives) != sorted(other.hives):
            parts.append("registry settings")
        return " and ".join(parts)

    def _by_path(self) -> dict[str, Record]:
        # A path can have a whiteout in addition to an entry, which replaces what lower layers have.
        return {
            f"the deletion of {record.entry.path}" if record.entry.kind == "whiteout" else record.entry.path: record
            for record in self.records
        }


def load_content(repository: Repository, reference: LayerReference) -> LayerContent:
    """Return the content of a stored layer version; it reads the file index and the registry deltas, not the files.

    Raises:
        NotFound, Corrupt, Unsupported: the version cannot be read.
    """
    from ..composing.image_hives import read_stacked_deltas
    from ..stack.layer_stack import archive_openers, read_indexes, stacked_layer

    layer = stacked_layer(repository, reference)
    (records,) = read_indexes(repository, [layer])
    with ExitStack() as stack:
        deltas = read_stacked_deltas([layer.label], archive_openers(repository, [layer], stack, hives=True))
    return LayerContent(records, [(name, stacked.data) for name, (stacked,) in deltas.items()])


def _record_at(record: Record, time: int) -> Record:
    entry = record.entry
    times: dict[str, Any] = {name: time for name in _TIMES if getattr(entry, name) is not None}
    return replace(record, entry=replace(entry, **times)) if times else record


def _delta_at(name: str, data: bytes, time: int) -> bytes:
    from ...winregistry.delta_format import read_delta, write_delta

    delta = read_delta(data, name=f"the hive {name}")
    waiting: list[KeyDelta] = [delta.root]
    while waiting:
        key = waiting.pop()
        if key.last_written is not None:
            key.last_written = time
        waiting += key.subkeys.values()
    return write_delta(delta)
