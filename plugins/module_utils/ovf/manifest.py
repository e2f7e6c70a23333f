# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, write and verify OVF manifests (.mf), which hold the digests of a package's files.

Source: DSP0243, chapter 5 (package manifest): lines of ``SHA256(name)= hexadecimal``. OpenSSL 3, with which
administrators re-create manifests, writes ``SHA2-256``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Corrupt, NotFound
from ..common.progress import Progress, silent
from .descriptor import check_file_name

MAXIMUM_BYTES = 1 << 20
_BLOCK = 1 << 20
_LENGTHS = {"sha1": 40, "sha256": 64, "sha512": 128}
_LINE = re.compile(r"SHA(?:2?-)?(1|256|512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a manifest: ``algorithm`` is "sha1", "sha256" or "sha512"; ``digest`` is lower-case hexadecimal."""

    name: str
    algorithm: str
    digest: str


def parse_manifest(data: bytes, subject: str = "The OVF manifest") -> tuple[Entry, ...]:
    """Return the entries of a manifest, in order. ``subject`` is its name at the start of error messages.

    Raises:
        Corrupt: ``ovf.manifest`` if the manifest is damaged; ``ovf.file_name`` if it names a file outside its folder.
    """
    if len(data) > MAXIMUM_BYTES:
        raise Corrupt(
            f"{subject} has more than {MAXIMUM_BYTES >> 10} KiB, the limit for a manifest.",
            code="ovf.manifest",
            hint="Check that the .mf file belongs to the package, or export the virtual machine again.",
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Corrupt(
            f"{subject} is not UTF-8 text.", code="ovf.manifest", hint="Export the virtual machine again."
        ) from error
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        algorithm = f"sha{match[1]}" if match else ""
        if match is None or len(match[3]) != _LENGTHS[algorithm]:
            raise Corrupt(
                f"Line {number} of {subject[0].lower() + subject[1:]} is not a digest of a file: {line.strip()[:100]!r}.",
                code="ovf.manifest",
                hint="Export the virtual machine again.",
            )
        entry = Entry(check_file_name(match[2], subject), algorithm, match[3].lower())
        if entries.setdefault(entry.name, entry) != entry:
            raise Corrupt(
                f"{subject} has two digests for {entry.name}.",
                code="ovf.manifest",
                hint="Export the virtual machine again.",
            )
    return tuple(entries.values())


def write_manifest(entries: Iterable[Entry]) -> bytes:
    """Return the text of a manifest with these entries, in their order."""
    return "".join(f"{entry.algorithm.upper()}({entry.name})= {entry.digest}\n" for entry in entries).encode("utf-8")


def verify_files(
    entries: Iterable[Entry],
    names: Iterable[str],
    opener: Callable[[str], BinaryIO],
    *,
    package: str,
    progress: Progress = silent,
    total: int | None = None,
) -> dict[str, str]:
    """Read every listed file once, compare it with its entry, and return the digests by file name.

    ``names`` are the files that must be listed. ``opener`` opens a file by name. ``package`` is the package's path
    for error messages. ``total`` is the number of bytes of all files, for ``progress``.

    Raises:
        NotFound: ``ovf.manifest_entry`` if a file of ``names`` is not listed; ``ovf.missing_file`` if a listed
            file does not exist.
        Corrupt: ``ovf.checksum`` if a digest differs.
    """
    listed = {entry.name: entry for entry in entries}
    for name in dict.fromkeys(names):
        if name not in listed:
            raise NotFound(
                f"The manifest of {package} has no digest for {name}.",
                code="ovf.manifest_entry",
                hint="Export the virtual machine again, or remove the .mf file if you know that the files are intact.",
                file=name,
            )
    digests: dict[str, str] = {}
    done = 0
    for entry in listed.values():
        digest = hashlib.new(entry.algorithm)
        with _open(opener, entry.name, package) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                done += len(block)
                progress("verify", done, total)
        computed = digest.hexdigest()
        if computed != entry.digest:
            raise Corrupt(
                f"The file {entry.name} of {package} is damaged: expected {entry.algorithm.upper()} {entry.digest}, "
                f"found {computed}.",
                code="ovf.checksum",
                hint="Copy the package again, or export the virtual machine again.",
                file=entry.name,
                expected=entry.digest,
                found=computed,
            )
        digests[entry.name] = computed
    return digests


def _open(opener: Callable[[str], BinaryIO], name: str, package: str) -> BinaryIO:
    try:
        return opener(name)
    except FileNotFoundError as error:
        raise NotFound(
            f"The manifest of {package} lists {name}, which is missing.",
            code="ovf.missing_file",
            hint="Copy the package again, or export the virtual machine again.",
            file=name,
        ) from error
