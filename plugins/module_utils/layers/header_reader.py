# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of tar headers, as ``ArchiveReader`` reads them; ``entry_headers`` describes the format.

All functions raise ``FormatError`` for headers that break the format.
"""

from __future__ import annotations

from . import entry as model
from . import tar
from .entry import Entry, path_problem, printable
from .entry_headers import FIELDS, normal_attributes, parse_base64, parse_text, parse_time
from .extended_attributes import pack_eas, unpack_eas
from .reparse import encodable, encode_link
from .tar import FormatError

_XATTR = "MSWINDOWS.xattr."


def true_path(records: dict[str, bytes], key: str, carried: str) -> str:
    """Return the path of a member: that of the record ``key`` if it exists, else the path that tar carries."""
    raw = records.get(key)
    if raw is None:
        return carried
    try:
        return parse_base64(raw, 4 * model.MAX_PATH, "a name").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise FormatError("a name is not UTF-8") from None


def checked_path(path: str) -> str:
    """Return ``path`` if it stays inside the volume."""
    problem = path_problem(path)
    if problem:
        raise FormatError(f"the name {printable(path)!r} {problem}")
    return path


def member_name(header: tar.Header, records: dict[str, bytes]) -> str:
    """Return the name of a member as text, without a trailing slash; absolute names are refused."""
    raw = records.get("GNU.sparse.name") or records.get("path")
    name = parse_text(raw if raw is not None else header.name, "a name")
    if name.startswith("./"):
        name = name[2:]
    if name.startswith(("/", "\\")):
        raise FormatError(f"the name {printable(name)!r} is absolute")
    return name[:-1] if name.endswith("/") else name


def link_text(header: tar.Header, records: dict[str, bytes]) -> str:
    """Return the link target of a member as text."""
    return parse_text(records.get("linkpath", header.linkname), "a link target")


def read_entry(path: str, kind: str, header: tar.Header, records: dict[str, bytes], *, own: bool) -> Entry:
    """Return the entry of a file, directory, link or hive member; the caller sets its size and link target.

    ``own`` marks an archive of this collection, in which a value without a record is not set. In other
    archives, the time of the ustar header replaces a missing time of writing.
    """
    entry = Entry(path, kind)
    entry.attributes = read_attributes(records) if kind != model.DIRECTORY or "MSWINDOWS.fileattr" in records else 0
    for key, raw in records.items():
        field = FIELDS.get(key)
        if field is not None:
            setattr(entry, field.attribute, field.parse(raw))
    if entry.written is None and not own:
        entry.written = parse_time(b"%d" % header.mtime)
    if kind != model.DIRECTORY:
        entry.implied = False
    _read_eas(entry, records)
    _read_reparse(entry, header, records)
    entry.attributes = normal_attributes(entry)
    return entry


def read_attributes(records: dict[str, bytes]) -> int:
    """Return the file attributes of a member, those of a plain file if it has none."""
    raw = records.get("MSWINDOWS.fileattr")
    if raw is None:
        return model.ATTRIBUTE_ARCHIVE
    if not raw.isdigit() or len(raw) > 10 or int(raw) >= 1 << 32:
        raise FormatError("file attributes are not a 32-bit number")
    return int(raw)


def _read_eas(entry: Entry, records: dict[str, bytes]) -> None:
    if "STRATA.eas" in records:
        path = printable(entry.path)
        entry.eas = parse_base64(records["STRATA.eas"], model.MAX_EAS, f"the extended attributes of {path}")
        if unpack_eas(entry.eas) is None:
            raise FormatError(f"the extended attributes of {path} are malformed")
        return
    keys = [key for key in records if key.startswith(_XATTR)]
    if keys:
        path = printable(entry.path)
        attributes = [
            (key[len(_XATTR) :].encode("utf-8"), 0, parse_base64(records[key], model.MAX_EAS - 1, f"{key} of {path}"))
            for key in sorted(keys)
        ]
        if any(not 0 < len(name) < 256 for name, _flags, _value in attributes):
            raise FormatError(f"an extended attribute of {path} has no name or a name of more than 255 bytes")
        if sum(len(name) + len(value) + 16 for name, _flags, value in attributes) > model.MAX_EAS:
            raise FormatError(f"the extended attributes of {path} are larger than {model.MAX_EAS} bytes")
        entry.eas = pack_eas(attributes)


def _read_reparse(entry: Entry, header: tar.Header, records: dict[str, bytes]) -> None:
    if "STRATA.reparse" in records:
        entry.reparse = parse_base64(records["STRATA.reparse"], model.MAX_REPARSE, "a reparse buffer")
        if len(entry.reparse) < 8:
            raise FormatError(f"the reparse buffer of {printable(entry.path)} is shorter than 8 bytes")
    elif header.kind == tar.SYMLINK:
        target = link_text(header, records).replace("/", "\\")
        if not encodable(target):
            raise FormatError(f"the link {printable(entry.path)} has no target or its target is too long")
        entry.reparse = encode_link(target, mount_point="MSWINDOWS.mountpoint" in records)
