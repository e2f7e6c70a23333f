# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files as part of a layer: what they do to the OS layer that the layer is made for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..catalog import layer_store
from ..common.errors import InvalidInput
from ..layers.entry import filetime_from_unix_ns
from ..ntfs.volume import Volume
from ..ntfs.volume_process import run_on_volume
from ..repository.repository import Repository
from ..windows.installation import exists, load_hive
from ..windows.partition import windows_window
from ..winregistry.delta_format import write_delta
from ..winregistry.hive_names import HIVES
from ..winregistry.reg_source import deltas_from_operations, locate
from ..winregistry.reg_text import Operation, read_reg
from .os_disk import OsDisk

MAX_REG_FILE = 64 << 20


def deltas_from_files(repository: Repository, os_layer_digest: str, paths: Sequence[str]) -> list[tuple[str, bytes]]:
    """(hive name, delta) of what the .reg files at ``paths`` do, one after the other, to an OS layer version.

    The same files and the same OS layer give the same bytes. InvalidInput names file and line
    of what cannot be read or cannot be in a layer.
    """
    operations: list[Operation] = []
    newest = 0
    for path in paths:
        try:
            with open(path, "rb") as stream:
                data = stream.read(MAX_REG_FILE + 1)
                newest = max(newest, os.fstat(stream.fileno()).st_mtime_ns)
        except OSError as error:
            raise InvalidInput(
                f"The file {path} cannot be read: {error.strerror}.",
                code="images.registry_file",
                hint="Give .reg files on the composer.",
            ) from error
        if len(data) > MAX_REG_FILE:
            raise InvalidInput(
                f"The file {path} is larger than {MAX_REG_FILE >> 20} MiB.",
                code="images.registry_file",
                hint="Split it.",
            )
        operations += read_reg(data, source=path)
    if not operations:
        return []
    source = paths[0] if len(paths) == 1 else ", ".join(os.path.basename(path) for path in paths)
    return run_on_volume(
        _deltas,
        repository,
        os_layer_digest,
        operations,
        source,
        filetime_from_unix_ns(newest),
        subject="the OS layer's disk",
    )


def _deltas(
    repository: Repository, digest: str, operations: list[Operation], source: str, time: int
) -> list[tuple[str, bytes]]:
    partition = layer_store.load_version(repository, digest).facts["disk"]["partition"]
    wanted = {place[0] for operation in operations if (place := locate(operation.path)) is not None}
    with (
        OsDisk.of(repository, digest).open(repository) as disk,
        Volume.mount(windows_window(disk, partition)) as volume,
    ):
        bases = {name: load_hive(volume, HIVES[name].path) for name in wanted if exists(volume, HIVES[name].path)}
        deltas = deltas_from_operations(operations, bases, source=source, last_written=time)
    return sorted((name, write_delta(delta)) for name, delta in deltas.items() if not delta.is_empty)
