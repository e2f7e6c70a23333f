# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tar headers of entries, as ``ArchiveWriter`` writes them; ``entry_headers`` describes the format."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from ..common.errors import InvalidInput
from . import entry as model
from . import tar
from .entry import Entry, path_problem, printable, stream_problem
from .entry_headers import (
    FIELDS,
    FILES,
    HIVES,
    MAX_STREAMS,
    TICKS_PER_SECOND,
    WHITEOUT_PREFIX,
    carried_name,
    is_text,
    normal_attributes,
    runs_problem,
    wtf8,
)
from .extended_attributes import unpack_eas
from .reparse import decode_link, encode_link

_MODES = {tar.REGULAR: 0o644, tar.HARD_LINK: 0o644, tar.DIRECTORY: 0o755, tar.SYMLINK: 0o777}


def check_entry(entry: Entry) -> None:
    """Raise InvalidInput layers.entry if an archive cannot carry ``entry``."""
    problem = next(_problems(entry), None)
    if problem:
        raise InvalidInput(
            f"{printable(entry.path) or 'An entry without a name'} {problem}.",
            code="layers.entry",
            hint="Remove or repair the file in the layer's source and run again.",
            path=printable(entry.path),
        )


def _problems(entry: Entry) -> Iterator[str]:
    if problem := path_problem(entry.path):
        yield problem
    if entry.kind == model.LINK and (problem := path_problem(entry.link_target or "")):
        yield f"is a hard link whose target {problem}"
    for name, _size in entry.streams:
        if problem := stream_problem(name):
            yield f"has a stream whose name {problem}"
    for value, bound, subject in (
        (entry.security, model.MAX_SECURITY, "security descriptor"),
        (entry.reparse, model.MAX_REPARSE, "reparse buffer"),
        (entry.eas, model.MAX_EAS, "chain of extended attributes"),
        (entry.object_id, 64, "object ID"),
    ):
        if value is not None and not 0 < len(value) <= bound:
            yield f"has a {subject} of {len(value)} bytes; 1 to {bound} are allowed"
    if entry.kind not in model.KINDS:
        yield f"has the unknown kind {entry.kind}"
    if not 0 <= entry.attributes < 1 << 32 or not 0 <= entry.size <= tar.MAX_NUMBER:
        yield "has attributes or a size out of range"
    for time in (entry.created, entry.written, entry.accessed, entry.changed):
        if time is not None and not 0 <= time <= tar.MAX_NUMBER:
            yield "has a time out of range"
    yield from _rare_problems(entry)


def _rare_problems(entry: Entry) -> Iterator[str]:
    name = entry.short_name
    if name is not None and (not 0 < len(name) <= 12 or not is_text(name) or "\0" in name):
        yield "has an invalid 8.3 name"
    if len(entry.streams) > MAX_STREAMS or len({name for name, _size in entry.streams}) < len(entry.streams):
        yield f"has more than {MAX_STREAMS} streams, or two streams of the same name"
    if entry.eas is not None and unpack_eas(entry.eas) is None:
        yield "has malformed extended attributes"
    if entry.reparse is not None and len(entry.reparse) < 8:
        yield "has a reparse buffer without a header"
    if entry.sparse is not None and (problem := runs_problem(entry.sparse, entry.size)):
        yield problem


def entry_member(entry: Entry) -> bytes:
    """Return the headers of the member that carries ``entry``; its data, if any, follows, padded to whole blocks.

    The map of a sparse file is at the front of its data and part of the result.
    """
    if entry.kind == model.WHITEOUT:
        return _whiteout_member(entry)
    name, records = _name_and_records(entry)
    if entry.kind == model.LINK:
        return _link_member(entry, name, records)
    if entry.reparse and (target := _link_target(entry, records)) is not None:
        return _member(name, tar.SYMLINK, 0, entry.written, target, records)
    if entry.kind == model.DIRECTORY:
        return _member(name, tar.DIRECTORY, 0, entry.written, b"", records)
    return _file_member(entry, name, records)


def stream_member(entry: Entry, stream: str, size: int) -> bytes:
    """Return the headers of the member that carries a named stream of ``entry``, which it follows."""
    full = f"{entry.path}:{stream}"
    name, is_unchanged = carried_name(full)
    records = {} if is_unchanged else {"STRATA.path": b64encode(wtf8(full))}
    return _member(_rooted(FILES, name), tar.REGULAR, size, None, b"", records)


def folder_member(name: str, records: dict[str, bytes]) -> bytes:
    """Return the headers of a top folder of the archive, ``Files`` or ``Hives``."""
    records = {"MSWINDOWS.fileattr": b"%d" % model.ATTRIBUTE_DIRECTORY, **records}
    return _member(name.encode("ascii"), tar.DIRECTORY, 0, None, b"", records)


# --- a builder per kind ------------------------------------------------------------------------


def _whiteout_member(entry: Entry) -> bytes:
    name, is_unchanged = carried_name(entry.path)
    folder, slash, base = _rooted(FILES, name).rpartition(b"/")
    records = {} if is_unchanged else {"STRATA.path": b64encode(wtf8(entry.path))}
    name = folder + slash + WHITEOUT_PREFIX.encode("ascii") + base
    return _member(name, tar.REGULAR, 0, None, b"", records)


def _link_member(entry: Entry, name: bytes, records: dict[str, bytes]) -> bytes:
    target, is_unchanged = carried_name(entry.link_target or "")
    if not is_unchanged:
        records["STRATA.linkpath"] = b64encode(wtf8(entry.link_target or ""))
    return _member(name, tar.HARD_LINK, 0, entry.written, _rooted(FILES, target), records)


def _file_member(entry: Entry, name: bytes, records: dict[str, bytes]) -> bytes:
    if entry.sparse is None:
        return _member(name, tar.REGULAR, entry.size, entry.written, b"", records)
    table = _sparse_table(entry.sparse)
    records["GNU.sparse.major"] = b"1"
    records["GNU.sparse.minor"] = b"0"
    records["GNU.sparse.realsize"] = b"%d" % entry.size
    records["GNU.sparse.name"] = name
    stored = len(table) + sum(length for _offset, length in entry.sparse)
    return _member(name, tar.REGULAR, stored, entry.written, b"", records) + table


def _name_and_records(entry: Entry) -> tuple[bytes, dict[str, bytes]]:
    """Return the name of an entry's member and the records that all kinds except whiteouts have."""
    records: dict[str, bytes] = {}
    name, is_unchanged = carried_name(entry.path)
    if not is_unchanged:
        records["STRATA.path"] = b64encode(wtf8(entry.path))
    for key, field in FIELDS.items():
        value = getattr(entry, field.attribute)
        if value is not None and value != field.absent:
            records[key] = field.pack(value)
    records["MSWINDOWS.fileattr"] = b"%d" % normal_attributes(entry)
    if entry.eas:
        records["STRATA.eas"] = b64encode(entry.eas)
        for ea_name, _flags, value in unpack_eas(entry.eas) or ():
            if ea_name.isascii() and ea_name.isalnum() and value:
                records["MSWINDOWS.xattr." + ea_name.decode("ascii")] = b64encode(value)
    return _rooted(HIVES if entry.kind == model.HIVE else FILES, name), records


def _link_target(entry: Entry, records: dict[str, bytes]) -> bytes | None:
    """Add the records of a reparse point; return the target if a symbolic link of tar can carry it, else None."""
    buffer = entry.reparse or b""
    link = decode_link(buffer) if not entry.size else None
    if link is None or not is_text(link[0]):
        records["STRATA.reparse"] = b64encode(buffer)
        return None
    target, is_mount_point = link
    if is_mount_point:
        records["MSWINDOWS.mountpoint"] = b"1"
    if encode_link(target.replace("/", "\\"), mount_point=is_mount_point) != buffer:
        records["STRATA.reparse"] = b64encode(buffer)
    return target.encode("utf-8")


def _sparse_table(runs: list[tuple[int, int]]) -> bytes:
    """Return the map at the front of a GNU sparse 1.0 member, padded to whole blocks."""
    text = b"%d\n" % len(runs) + b"".join(b"%d\n%d\n" % run for run in runs)
    return text + tar.padding(len(text))


def _rooted(root: str, name: bytes) -> bytes:
    return root.encode("ascii") + b"/" + name


def _member(
    name: bytes, kind: bytes, size: int, written: int | None, linkname: bytes, records: dict[str, bytes]
) -> bytes:
    if len(name) > 100 or not name.isascii():
        records["path"] = name
    if len(linkname) > 100 or not linkname.isascii():
        records["linkpath"] = linkname
    if size > tar.MAX_OCTAL:
        records["size"] = b"%d" % size
    plain = _ascii(name)
    seconds = model.unix_100ns(written) // TICKS_PER_SECOND if written is not None else 0
    block = tar.header_block(plain, kind, size, _MODES[kind], seconds, _ascii(linkname))
    return tar.pax_member(plain, records) + block if records else block


def _ascii(name: bytes) -> bytes:
    if name.isascii():
        return name
    return name.decode("utf-8").encode("ascii", "replace").replace(b"?", b"_")
