# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file share that is used over SMB, without a mount."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..common.atomic_files import ABANDONED, TEMPORARY_PREFIX
from ..common.errors import Conflict, Corrupt, NoSpace, NotFound
from ..common.optional_imports import smb_open
from . import share
from .location import check_path, parse_smb
from .share import Share, Status, join, parent_of
from .share_connection import Handle, ShareConnection
from .smb_client import SmbClient
from .smb_files import SmbReader, SmbWriter
from .smb_status import EXISTS, MISSING, NOT_EMPTY, Refused

#: MS-SMB2 2.2.13.1.2: listing and attributes; adding files and folders; deleting.
_LIST, _ADD, _DELETE = 0x00100081, 0x00100086, 0x00010080
#: MS-SMB2 2.2.13.1.1: FILE_GENERIC_WRITE.
_WRITE = 0x00120116


class SmbShare(Share):
    """The folder ``base`` of the share that ``client`` is connected to."""

    def __init__(self, client: SmbClient, base: str) -> None:
        self._client = client
        self._base = base
        self.name = join(client.name, base)

    @classmethod
    def at(cls, location: str, **options: Any) -> SmbShare:
        """Return the share ``//server[:port]/share[/path]``; it connects at its first use.

        ``options`` are the keyword arguments of SmbClient.
        """
        parsed = parse_smb(location)
        return cls(SmbClient(parsed, **options), parsed.path)

    def where(self, path: str = "") -> str:
        return join(self.name, path)

    def folder(self, path: str) -> Share:
        return SmbShare(self._client, self._full(path)) if path else self

    def local_path(self, path: str) -> str | None:
        return None

    def facts(self) -> dict[str, Any]:
        """Return the dialect of the connection and whether messages are encrypted."""
        return self._client.facts()

    def missing(self) -> NotFound:
        return NotFound(
            f"The folder {self.name} does not exist on the file server.",
            code="shares.missing",
            hint="Correct file_share. The module strata.layering.file_share creates the folder if create is true.",
        )

    def check_writable(self) -> None:
        def work(connection: ShareConnection) -> None:
            self._open(connection, self._base, _ADD, directory=True).close()

        try:
            self._client.attempt(work, self.name)
        except FileNotFoundError:
            raise self.missing() from None

    def space(self) -> tuple[int, int]:
        def work(connection: ShareConnection) -> tuple[int, int]:
            with contextlib.closing(self._open(connection, self._base, _LIST, directory=True)) as handle:
                return handle.space()

        try:
            return self._client.attempt(work, self.name)
        except FileNotFoundError:
            raise self.missing() from None

    def stat(self, path: str) -> Status | None:
        full = self._full(path)
        handle = self._client.attempt(lambda connection: connection.stat(full), self.where(path))
        return (
            None
            if handle is None
            else Status(0 if handle.is_folder else handle.size, handle.mtime_ns, handle.is_folder)
        )

    def names(self, path: str = "") -> list[tuple[str, Status]]:
        full = self._full(path)

        def work(connection: ShareConnection) -> list[tuple[str, Status]]:
            with contextlib.closing(self._open(connection, full, _LIST, directory=True)) as handle:
                return [entry for entry in map(_entry, handle.names()) if entry[0] not in (".", "..")]

        return self._client.attempt(work, self.where(path))

    def open(self, path: str) -> BinaryIO:
        return SmbReader(self._client, self._full(path), self.where(path))

    @contextlib.contextmanager
    def create(self, path: str, *, temporary: str | None = None) -> Iterator[BinaryIO]:
        full = self._full(path)
        if temporary is None:
            prefix = f"{TEMPORARY_PREFIX}{hashlib.sha256(full.encode()).hexdigest()[:12]}-"
            self._remove_leftovers(parent_of(path), prefix)
            temporary = prefix + secrets.token_hex(4)
        name = join(parent_of(full), check_path(temporary))
        writer = SmbWriter(self._client, name, full, self.where(path))
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.discard()
            raise

    @contextlib.contextmanager
    def resume(self, path: str, temporary: str) -> Iterator[BinaryIO]:
        full = self._full(path)
        name = join(parent_of(full), check_path(temporary))
        writer = SmbWriter(self._client, name, full, self.where(path), resume=True)
        writer.seek(max(0, writer.size - share.REWIND))
        try:
            yield writer
            writer.finish()
        except BaseException as error:
            if isinstance(error, (Corrupt, NoSpace)) or writer.size <= share.REWIND:
                writer.discard()
            else:
                writer.abandon()
            raise

    def create_new(self, path: str, data: bytes) -> bool:
        full = self._full(path)

        def work(connection: ShareConnection) -> bool:
            try:
                handle = self._open(
                    connection, full, _WRITE, directory=False, disposition=smb_open.CreateDisposition.FILE_CREATE
                )
            except Refused as error:
                if error.status in EXISTS:
                    return False
                raise
            with contextlib.closing(handle):
                connection.exchange(handle.opened.write(data, 0, send=False)[0])
            return True

        return self._client.attempt(work, self.where(path))

    def make_folders(self, path: str = "") -> None:
        full = self._full(path)
        options = smb_open.CreateDisposition

        def work(connection: ShareConnection) -> None:
            path_so_far = ""
            for name in full.split("/"):
                path_so_far = join(path_so_far, name)
                # An existing folder is only queried: the user may have no permission to create folders there.
                if connection.stat(path_so_far) is None:
                    with contextlib.closing(
                        self._open(connection, path_so_far, _LIST, directory=True, disposition=options.FILE_OPEN_IF)
                    ):
                        pass

        if full:
            try:
                self._client.attempt(work, self.where(path))
            except FileNotFoundError:
                raise Conflict(
                    f"The folder {self.where(path)} cannot be created: a part of its path is not a folder.",
                    code="shares.kind",
                    hint="Set a path whose parents are folders, or remove the file that is in the way.",
                ) from None

    def remove(self, path: str) -> bool:
        return self._remove(self._full(path), self.where(path), directory=False)

    def remove_folder(self, path: str = "") -> bool:
        return self._remove(self._full(path), self.where(path), directory=True)

    def close(self) -> None:
        self._client.close()

    def _full(self, path: str) -> str:
        return join(self._base, check_path(path)) if path else self._base

    def _remove_leftovers(self, folder: str, prefix: str) -> None:
        """Remove the temporary files of earlier writers of the same file that lost the server."""
        for name, status in self.names(folder):
            if name.startswith(prefix) and time.time() - status.mtime_ns / 1e9 > ABANDONED:
                self.remove(join(folder, name))

    @staticmethod
    def _open(
        connection: ShareConnection, full: str, access: int, *, directory: bool, disposition: int | None = None
    ) -> Handle:
        kinds = smb_open.CreateOptions
        return connection.open(
            full,
            access,
            smb_open.CreateDisposition.FILE_OPEN if disposition is None else disposition,
            kinds.FILE_DIRECTORY_FILE if directory else kinds.FILE_NON_DIRECTORY_FILE,
        )

    def _remove(self, full: str, location: str, *, directory: bool) -> bool:
        tried = False

        def work(connection: ShareConnection) -> bool:
            nonlocal tried
            try:
                with contextlib.closing(self._open(connection, full, _DELETE, directory=directory)) as handle:
                    handle.remove()
            except Refused as error:
                if error.status in MISSING:
                    # An earlier attempt whose response was lost removed it.
                    return tried
                if directory and error.status == NOT_EMPTY:
                    return False
                raise
            finally:
                tried = True
            return True

        return self._client.attempt(work, location)


def _entry(information: Any) -> tuple[str, Status]:
    name = information["file_name"].get_value()
    name = name.decode("utf-16-le", "replace") if isinstance(name, bytes) else name
    folder = bool(information["file_attributes"].get_value() & 0x10)
    written = information["last_write_time"].get_value()
    return name, Status(
        0 if folder else information["end_of_file"].get_value(), int(written.timestamp() * 1_000_000) * 1000, folder
    )
