# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files (.reg) as part of a layer: the changes that they make to the layer's OS layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from ..common.composer_paths import current_user, path_hint
from ..common.errors import InvalidInput
from ..layers.entry import filetime_from_unix_ns
from ..ntfs.volume_process import run_on_volume
from ..repository.repository import Repository
from ..windows.installation import exists, load_hive
from ..winregistry.delta_format import write_delta
from ..winregistry.hive_names import HIVES
from ..winregistry.reg_source import deltas_from_operations, locate
from ..winregistry.reg_text import Operation, read_reg
from .os_disk import mount_os_layer

MAX_REG_FILE = 64 << 20


def deltas_from_files(
    repository: Repository, os_layer_digest: str, paths: Sequence[str], *, time: int | None = None
) -> list[tuple[str, bytes]]:
    """Return (hive name, delta) of the changes that the .reg files at ``paths``, in order, make to an OS layer version.

    Changed keys get ``time`` (a FILETIME), or the time of the newest file if it is None. Equal files, the same time
    and the same OS layer give equal bytes.

    Raises:
        InvalidInput images.registry_file: a file cannot be read or is too large.
        InvalidInput winregistry.*: a line cannot be parsed or cannot be in a layer; the message names file and line.
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
                hint=f"{path_hint(path, 'registry')}Set the option registry to .reg files that the user {current_user()} "
                "can read.",
            ) from error
        if len(data) > MAX_REG_FILE:
            raise InvalidInput(
                f"The file {path} is larger than {MAX_REG_FILE >> 20} MiB.",
                code="images.registry_file",
                hint="Split the file; the option registry accepts several files.",
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
        filetime_from_unix_ns(newest) if time is None else time,
        subject="the OS layer's disk",
    )


def _deltas(
    repository: Repository, digest: str, operations: list[Operation], source: str, time: int
) -> list[tuple[str, bytes]]:
    hives = {location[0] for operation in operations if (location := locate(operation.path)) is not None}
    with ExitStack() as stack:
        volume = mount_os_layer(repository, digest, stack)
        bases = {name: load_hive(volume, HIVES[name].path) for name in hives if exists(volume, HIVES[name].path)}
        deltas = deltas_from_operations(operations, bases, source=source, last_written=time)
    return sorted((name, write_delta(delta)) for name, delta in deltas.items() if not delta.is_empty)
