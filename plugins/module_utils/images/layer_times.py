# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare stored layer versions without regard to the times of files and keys."""

from __future__ import annotations

from contextlib import ExitStack

from ..catalog import layer_store
from ..layers.file_index import IndexWriter
from ..layers.layer_version import LayerReference
from ..repository.repository import Repository
from ..winregistry.delta import KeyDelta
from ..winregistry.delta_format import read_delta, write_delta
from .image_hives import read_stacked_deltas
from .layer_stack import archive_openers, read_indexes, stacked_layer


def content_digest_at(repository: Repository, reference: LayerReference, time: int) -> str:
    """Return the content digest that a stored layer version would have if all its times were ``time`` (a FILETIME).

    It reads the file index and the registry deltas, not the files.

    Raises:
        NotFound, Corrupt, Unsupported: the version cannot be read.
    """
    layer = stacked_layer(repository, reference)
    (records,) = read_indexes(repository, [layer])
    with IndexWriter(None) as index:
        for record in records:
            entry = record.entry
            for name in ("created", "written", "accessed", "changed"):
                if getattr(entry, name) is not None:
                    setattr(entry, name, time)
            index.add(entry, record.digest, record.stream_digests)
    with ExitStack() as stack:
        deltas = read_stacked_deltas([layer.label], archive_openers(repository, [layer], stack, hives=True))
    hives = [(name, _with_time(delta.data, time)) for name, (delta,) in deltas.items()]
    return layer_store.with_hives(index.content_digest, hives)


def _with_time(data: bytes, time: int) -> bytes:
    delta = read_delta(data)
    waiting: list[KeyDelta] = [delta.root]
    while waiting:
        key = waiting.pop()
        if key.last_written is not None:
            key.last_written = time
        waiting += key.subkeys.values()
    return write_delta(delta)
