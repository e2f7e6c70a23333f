# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files (.reg) as part of a layer: the changes that they make to the layer's OS layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from ...common.composer_paths import current_user, path_hint
from ...common.errors import InvalidInput
from ...layers.entry import filetime_from_unix_ns
from ...ntfs.volume_process import run_on_volume
from ...repository.repository import Repository
from ...windows.installation import ansi_code_page, exists, load_hive
from ...winregistry.delta_format import write_delta
from ...winregistry.hive_names import HIVES
from ...winregistry.reg_source import RegFile, check_required_keys, deltas_from_reg_files, locate
from ...winregistry.reg_text import needs_code_page, read_reg
from ..stored.os_disk import mount_os_layer

MAX_REG_FILE = 64 << 20


def deltas_from_files(
    repository: Repository,
    os_layer_digest: str,
    paths: Sequence[str],
    *,
    time: int | None = None,
    must_start: bool = True,
) -> list[tuple[str, bytes]]:
    """Return (hive name, delta) of the changes that the .reg files at ``paths``, in order, make to an OS layer version.

    Changed keys get ``time`` (a FILETIME), or the time of the newest file if it is None. Equal files, the same time
    and the same OS layer give equal bytes. ``must_start`` refuses changes with which Windows cannot start; versions
    that earlier releases stored are compared without it.

    Raises:
        InvalidInput images.registry_file: a file cannot be read or is too large.
        InvalidInput winregistry.*: a line cannot be parsed or cannot be in a layer; the message names file and line.
    """
    if not paths:
        return []
    files: list[tuple[str, bytes]] = []
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
        files.append((path, data))
    return run_on_volume(
        _deltas,
        repository,
        os_layer_digest,
        files,
        filetime_from_unix_ns(newest) if time is None else time,
        must_start,
        subject="the OS layer's disk",
    )


def _deltas(
    repository: Repository, digest: str, data: Sequence[tuple[str, bytes]], time: int, must_start: bool
) -> list[tuple[str, bytes]]:
    with ExitStack() as stack:
        volume = mount_os_layer(repository, digest, stack)
        code_page = ansi_code_page(volume) if any(needs_code_page(text) for _path, text in data) else None
        files = [RegFile(path, read_reg(text, source=path, code_page=code_page)) for path, text in data]
        located = (locate(operation.path) for file in files for operation in file.operations)
        hives = sorted({location[0] for location in located if location is not None})
        bases = {name: load_hive(volume, HIVES[name].path) for name in hives if exists(volume, HIVES[name].path)}
        deltas = deltas_from_reg_files(files, bases, last_written=time)
        if must_start:
            check_required_keys(files, bases, deltas)
    return sorted((name, write_delta(delta)) for name, delta in deltas.items() if not delta.is_empty)
