# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an entry stands in the tar headers of a Windows layer.

Source: OCI image-spec layer.md, "Platform-specific attributes" and "Whiteouts"; the records and the
names of streams as Windows' own container tools write them (go-winio backuptar, hcsshim ociwclayer).
What that form loses is kept in records of our own:

=================== =====================================================================
STRATA.version      on the first member: 1
STRATA.path         the true name below ``Files/`` where tar cannot carry it, base64 of UTF-8
                    in which lone surrogates stand as they are (WTF-8)
STRATA.linkpath     likewise the target of a hard link
STRATA.shortname    8.3 name
STRATA.reparse      raw reparse buffer, base64, unless the link's target says it all
STRATA.eas          chain of extended attributes with flags, base64
STRATA.objectid     object ID, base64
STRATA.streams      JSON list of [name, size] of the streams that follow
STRATA.implied      1: the directory is there only to carry its children
=================== =====================================================================

Sparse files are GNU sparse 1.0 members, which Go's and Python's readers expand by themselves.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import json
from base64 import b64decode, b64encode

from ..common.errors import InvalidInput, Unsupported
from . import entry as model
from . import tar
from .entry import Entry, path_problem, printable, stream_problem
from .extended_attributes import pack_eas, unpack_eas
from .reparse import decode_link, encodable, encode_link

VERSION = 1
FILES = "Files"
HIVES = "Hives"
WHITEOUT_PREFIX = ".wh."
MAX_STREAMS = 4096

_TICKS = 10_000_000


# --- names -----------------------------------------------------------------------------------


def carried_name(name: str) -> tuple[bytes, bool]:
    """(tar form of an entry's path or "path:stream", whether tar carries it as it is)."""
    if WHITEOUT_PREFIX not in name:
        try:
            return name.encode("utf-8"), True
        except UnicodeEncodeError:
            pass
    kept = True
    components = []
    for component in name.split("/"):
        file, colon, stream = component.partition(":")
        for part in (file, stream):
            if part.startswith(WHITEOUT_PREFIX) or not _is_text(part):
                kept = False
        components.append(_substitute(file) + colon + _substitute(stream))
    return "/".join(components).encode("utf-8"), kept


def _is_text(part: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in part)


def _substitute(part: str) -> str:
    if not part.startswith(WHITEOUT_PREFIX) and _is_text(part):
        return part
    return "STRATA~" + hashlib.blake2b(_wtf8(part), digest_size=8).hexdigest()


def _wtf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise tar.damaged(f"{what} is not UTF-8") from None


# --- values ----------------------------------------------------------------------------------


def format_time(filetime: int) -> bytes:
    """A FILETIME as pax decimal seconds since 1970, sign and magnitude, without trailing zeros."""
    ticks = model.unix_100ns(filetime)
    seconds, rest = divmod(abs(ticks), _TICKS)
    sign = "-" if ticks < 0 else ""
    return (f"{sign}{seconds}.{rest:07d}".rstrip("0") if rest else f"{sign}{seconds}").encode("ascii")


@functools.lru_cache(4096)
def parse_time(value: bytes) -> int:
    """FILETIME of pax decimal seconds, exact to 100 ns; times a FILETIME cannot say are brought to its bounds."""
    negative = value[:1] == b"-"
    seconds, _point, fraction = value[negative:].partition(b".")
    if not seconds.isdigit() or len(seconds) > 18 or len(fraction) > 18 or (fraction and not fraction.isdigit()):
        raise tar.damaged("a time is not a decimal number")
    ticks = int(seconds) * _TICKS + int(fraction[:7].ljust(7, b"0"))
    return min(max(model.filetime_from_unix_ns(0) + (-ticks if negative else ticks), 0), tar.MAX_NUMBER)


def _base64(value: bytes, bound: int, what: str) -> bytes:
    if len(value) > bound * 4 // 3 + 8:
        raise tar.damaged(f"{what} is larger than {bound} bytes")
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise tar.damaged(f"{what} is not base64") from None


# --- writing ---------------------------------------------------------------------------------


def check_entry(entry: Entry) -> None:
    """InvalidInput when ``entry`` cannot stand in an archive."""
    problem = path_problem(entry.path)
    if not problem and entry.kind == model.LINK:
        problem = path_problem(entry.link_target or "")
        problem = problem and "is a hard link whose target " + problem
    for name, _size in entry.streams if not problem else ():
        problem = problem or stream_problem(name)
        problem = problem and f"has a stream whose name {problem}"
    bounds = (
        (entry.security, model.MAX_SECURITY, "security descriptor"),
        (entry.reparse, model.MAX_REPARSE, "reparse buffer"),
        (entry.eas, model.MAX_EAS, "extended attributes"),
        (entry.object_id, 64, "object ID"),
    )
    for value, bound, what in bounds if not problem else ():
        if value is not None and not 0 < len(value) <= bound:
            problem = f"has a {what} that is empty or of more than {bound} bytes"
    if not problem:
        if entry.kind not in model.KINDS:
            problem = f"is of the unknown kind {entry.kind}"
        elif not 0 <= entry.attributes < 1 << 32 or not 0 <= entry.size <= tar.MAX_NUMBER:
            problem = "has attributes or a size out of range"
        elif any(
            time is not None and not 0 <= time <= tar.MAX_NUMBER
            for time in (entry.created, entry.written, entry.accessed, entry.changed)
        ):
            problem = "has a time out of range"
        elif entry.short_name is not None and (
            not 0 < len(entry.short_name) <= 12 or not _is_text(entry.short_name) or "\0" in entry.short_name
        ):
            problem = "has an 8.3 name that is none"
        elif len(entry.streams) > MAX_STREAMS or len({name for name, _size in entry.streams}) < len(entry.streams):
            problem = "has too many streams, or two of one name"
        elif entry.eas is not None and unpack_eas(entry.eas) is None:
            problem = "has extended attributes that are not well formed"
        elif entry.reparse is not None and len(entry.reparse) < 8:
            problem = "has a reparse buffer without header"
        elif entry.sparse is not None and runs_problem(entry.sparse, entry.size):
            problem = runs_problem(entry.sparse, entry.size)
    if problem:
        raise InvalidInput(f"{printable(entry.path) or 'An entry without name'} {problem}.", code="layers.entry")


def runs_problem(runs: list[tuple[int, int]], size: int) -> str | None:
    """Why ``runs`` is not a map of the data of a sparse file of ``size`` bytes, or None."""
    position = 0
    for offset, length in runs:
        if offset < position or length < 0 or offset + length > size:
            return "has a sparse map that is not in order or leaves the file"
        position = offset + length
    return None


def normal_attributes(entry: Entry) -> int:
    """Attributes with the directory and reparse bits as the entry's kind and buffer say."""
    attributes = entry.attributes & ~(model.ATTRIBUTE_DIRECTORY | model.ATTRIBUTE_REPARSE)
    if entry.kind == model.DIRECTORY:
        attributes |= model.ATTRIBUTE_DIRECTORY
    return attributes | (model.ATTRIBUTE_REPARSE if entry.reparse else 0)


def entry_member(entry: Entry, root: str = FILES) -> bytes:
    """Headers of the member that carries ``entry`` (whose data, if any, follows padded).

    A sparse file's map stands at the front of its data and is part of what is returned.
    """
    records: dict[str, bytes] = {}
    name, kept = carried_name(entry.path)
    prefix = root.encode("ascii") + b"/"
    if entry.kind == model.WHITEOUT:
        folder, slash, base = name.rpartition(b"/")
        if not kept:
            records["STRATA.path"] = b64encode(_wtf8(entry.path))
        return _member(
            prefix + folder + slash + WHITEOUT_PREFIX.encode("ascii") + base, tar.REGULAR, 0, 0o644, None, b"", records
        )
    if not kept:
        records["STRATA.path"] = b64encode(_wtf8(entry.path))
    for key, time in (
        ("mtime", entry.written),
        ("atime", entry.accessed),
        ("ctime", entry.changed),
        ("LIBARCHIVE.creationtime", entry.created),
    ):
        if time is not None:
            records[key] = format_time(time)
    records["MSWINDOWS.fileattr"] = b"%d" % normal_attributes(entry)
    if entry.security is not None:
        records["MSWINDOWS.rawsd"] = b64encode(entry.security)
    if entry.short_name is not None:
        records["STRATA.shortname"] = entry.short_name.encode("utf-8")
    if entry.object_id is not None:
        records["STRATA.objectid"] = b64encode(entry.object_id)
    if entry.implied:
        records["STRATA.implied"] = b"1"
    if entry.streams:
        records["STRATA.streams"] = json.dumps(entry.streams, separators=(",", ":")).encode("ascii")
    if entry.eas:
        records["STRATA.eas"] = b64encode(entry.eas)
        for ea_name, _flags, value in unpack_eas(entry.eas) or ():
            if ea_name.isascii() and ea_name.isalnum() and value:
                records["MSWINDOWS.xattr." + ea_name.decode("ascii")] = b64encode(value)
    if entry.kind == model.LINK:
        target, kept = carried_name(entry.link_target or "")
        if not kept:
            records["STRATA.linkpath"] = b64encode(_wtf8(entry.link_target or ""))
        return _member(prefix + name, tar.HARD_LINK, 0, 0o644, entry.written, prefix + target, records)
    kind, mode, linkname = (tar.DIRECTORY, 0o755, b"") if entry.kind == model.DIRECTORY else (tar.REGULAR, 0o644, b"")
    if entry.reparse:
        found = decode_link(entry.reparse) if not entry.size else None
        if found and _is_text(found[0]):
            kind, mode, linkname = tar.SYMLINK, 0o777, found[0].encode("utf-8")
            if found[1]:
                records["MSWINDOWS.mountpoint"] = b"1"
        if kind != tar.SYMLINK or encode_link(found[0].replace("/", "\\"), mount_point=found[1]) != entry.reparse:
            records["STRATA.reparse"] = b64encode(entry.reparse)
    size = entry.size if kind == tar.REGULAR else 0
    if kind == tar.REGULAR and entry.sparse is not None:
        table = sparse_table(entry.sparse)
        records.update(
            {
                "GNU.sparse.major": b"1",
                "GNU.sparse.minor": b"0",
                "GNU.sparse.realsize": b"%d" % size,
                "GNU.sparse.name": prefix + name,
            }
        )
        return (
            _member(
                prefix + name,
                kind,
                len(table) + sum(length for _offset, length in entry.sparse),
                mode,
                entry.written,
                linkname,
                records,
            )
            + table
        )
    return _member(prefix + name, kind, size, mode, entry.written, linkname, records)


def stream_member(entry: Entry, stream: str, size: int) -> bytes:
    """Headers of the member that carries a named stream of ``entry``, which it follows."""
    full = f"{entry.path}:{stream}"
    name, kept = carried_name(full)
    records = {} if kept else {"STRATA.path": b64encode(_wtf8(full))}
    return _member(FILES.encode("ascii") + b"/" + name, tar.REGULAR, size, 0o644, None, b"", records)


def folder_member(name: str, records: dict[str, bytes]) -> bytes:
    """Headers of one of the archive's own folders, ``Files`` or ``Hives``."""
    return _member(name.encode("ascii"), tar.DIRECTORY, 0, 0o755, None, b"", {"MSWINDOWS.fileattr": b"16", **records})


def sparse_table(runs: list[tuple[int, int]]) -> bytes:
    """The map at the front of a GNU sparse 1.0 member, padded to whole blocks."""
    text = b"%d\n" % len(runs) + b"".join(b"%d\n%d\n" % run for run in runs)
    return text + tar.padding(len(text))


def _member(
    name: bytes, kind: bytes, size: int, mode: int, written: int | None, linkname: bytes, records: dict[str, bytes]
) -> bytes:
    if len(name) > 100 or not name.isascii():
        records["path"] = name
    if len(linkname) > 100 or not linkname.isascii():
        records["linkpath"] = linkname
    if size > tar.MAX_OCTAL:
        records["size"] = b"%d" % size
    plain = name if name.isascii() else name.decode("utf-8").encode("ascii", "replace").replace(b"?", b"_")
    if not linkname.isascii():
        linkname = linkname.decode("utf-8").encode("ascii", "replace").replace(b"?", b"_")
    seconds = model.unix_100ns(written) // _TICKS if written is not None else 0
    block = tar.header_block(plain, kind, size, mode, seconds, linkname)
    return tar.pax_member(plain, records) + block if records else block


# --- reading ---------------------------------------------------------------------------------


def true_path(records: dict[str, bytes], key: str, carried: str) -> str:
    """The path a member stands for: our own record when there is one, else what tar carries."""
    raw = records.get(key)
    if raw is None:
        return carried
    try:
        return _base64(raw, 4 * model.MAX_PATH, "a name").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise tar.damaged("a name is not UTF-8") from None


def checked_path(path: str) -> str:
    """``path`` if it stays inside the volume, else Corrupt."""
    problem = path_problem(path)
    if problem:
        raise tar.damaged(f"the name {printable(path)!r} {problem}")
    return path


def member_name(header: tar.Header, records: dict[str, bytes]) -> str:
    """The name of a member as text, without a trailing slash; Corrupt for absolute names."""
    raw = records.get("GNU.sparse.name") or records.get("path")
    name = _text(raw if raw is not None else header.name, "a name")
    if name.startswith("./"):
        name = name[2:]
    if name.startswith(("/", "\\")):
        raise tar.damaged(f"the name {printable(name)!r} is absolute")
    return name[:-1] if name.endswith("/") else name


def link_text(header: tar.Header, records: dict[str, bytes]) -> str:
    """The link target of a member as text."""
    return _text(records.get("linkpath", header.linkname), "a link target")


def read_entry(path: str, kind: str, header: tar.Header, records: dict[str, bytes], *, own: bool) -> Entry:
    """The entry of a file, directory, link or hive member; its size and links are the caller's to set.

    ``own`` tells an archive this collection wrote, where what has no record is not said; otherwise
    the ustar time stands in for a missing one.
    """
    entry = Entry(path, kind)
    entry.attributes = read_attributes(records) if kind != model.DIRECTORY or "MSWINDOWS.fileattr" in records else 0
    written = records.get("mtime")
    entry.written = parse_time(written) if written else None if own else parse_time(b"%d" % header.mtime)
    entry.accessed, entry.changed, entry.created = (
        parse_time(records[key]) if key in records else None for key in ("atime", "ctime", "LIBARCHIVE.creationtime")
    )
    if "MSWINDOWS.rawsd" in records:
        entry.security = _base64(records["MSWINDOWS.rawsd"], model.MAX_SECURITY, "a security descriptor")
    elif "MSWINDOWS.sd" in records:
        raise Unsupported(
            f"The layer archive gives the security of {printable(path)} as SDDL text.",
            code="layers.archive_sddl",
            hint="Export the layer again with a current version of the tool that made it.",
        )
    if "STRATA.shortname" in records:
        entry.short_name = _text(records["STRATA.shortname"], "an 8.3 name")
    if "STRATA.objectid" in records:
        entry.object_id = _base64(records["STRATA.objectid"], 64, "an object ID")
    entry.implied = kind == model.DIRECTORY and records.get("STRATA.implied") == b"1"
    _read_eas(entry, records)
    _read_reparse(entry, header, records)
    if "STRATA.streams" in records:
        entry.streams = _read_streams(records["STRATA.streams"])
    entry.attributes = normal_attributes(entry)
    return entry


def read_attributes(records: dict[str, bytes]) -> int:
    """The file attributes a member gives, those of a plain file when it gives none."""
    raw = records.get("MSWINDOWS.fileattr")
    if raw is None:
        return model.ATTRIBUTE_ARCHIVE
    if not raw.isdigit() or len(raw) > 10 or int(raw) >= 1 << 32:
        raise tar.damaged("file attributes are not a 32-bit number")
    return int(raw)


def _read_eas(entry: Entry, records: dict[str, bytes]) -> None:
    if "STRATA.eas" in records:
        entry.eas = _base64(records["STRATA.eas"], model.MAX_EAS, "the extended attributes")
        if unpack_eas(entry.eas) is None:
            raise tar.damaged(f"the extended attributes of {printable(entry.path)} are not well formed")
        return
    prefix = "MSWINDOWS.xattr."
    pairs = [
        (key[len(prefix) :].encode("utf-8"), records[key])
        for key in sorted(key for key in records if key.startswith(prefix))
    ]
    if pairs:
        if any(not 0 < len(name) < 256 for name, _value in pairs):
            raise tar.damaged(f"an extended attribute of {printable(entry.path)} has no name, or one too long")
        values = [(name, 0, _base64(value, model.MAX_EAS - 1, "an extended attribute")) for name, value in pairs]
        if sum(len(name) + len(value) + 16 for name, _flags, value in values) > model.MAX_EAS:
            raise tar.damaged(
                f"the extended attributes of {printable(entry.path)} are larger than {model.MAX_EAS} bytes"
            )
        entry.eas = pack_eas(values)


def _read_reparse(entry: Entry, header: tar.Header, records: dict[str, bytes]) -> None:
    if "STRATA.reparse" in records:
        entry.reparse = _base64(records["STRATA.reparse"], model.MAX_REPARSE, "a reparse buffer")
        if len(entry.reparse) < 8:
            raise tar.damaged(f"the reparse buffer of {printable(entry.path)} is too short")
    elif header.kind == tar.SYMLINK:
        target = link_text(header, records).replace("/", "\\")
        if not encodable(target):
            raise tar.damaged(f"the link {printable(entry.path)} has no target, or one too long")
        entry.reparse = encode_link(target, mount_point="MSWINDOWS.mountpoint" in records)


def _read_streams(raw: bytes) -> list[tuple[str, int]]:
    try:
        listed = json.loads(raw)
    except (ValueError, RecursionError):
        listed = None
    valid = (
        isinstance(listed, list)
        and len(listed) <= MAX_STREAMS
        and all(
            isinstance(item, list)
            and len(item) == 2
            and isinstance(item[0], str)
            and item[1].__class__ is int
            and 0 <= item[1] <= tar.MAX_NUMBER
            and not stream_problem(item[0])
            for item in listed
        )
    )
    if not valid or len({item[0] for item in listed}) < len(listed):
        raise tar.damaged("a list of streams is not well formed")
    return [tuple(item) for item in listed]
