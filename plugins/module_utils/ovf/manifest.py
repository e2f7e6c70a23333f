# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF manifests (.mf): which file has which digest, read, written and checked.

Source: DSP0243, chapter 5 (package manifest): lines of ``SHA256(name)= hexadecimal``.
OpenSSL 3, with which manifests are made anew by hand, writes ``SHA2-256``.
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
    """One line: ``algorithm`` is "sha1", "sha256" or "sha512", ``digest`` lower-case hexadecimal."""

    name: str
    algorithm: str
    digest: str


def parse_manifest(data: bytes, what: str = "The OVF manifest") -> tuple[Entry, ...]:
    """The entries of a manifest, in order; Corrupt when a line is anything else."""
    if len(data) > MAXIMUM_BYTES:
        raise Corrupt(
            f"{what} is larger than {MAXIMUM_BYTES >> 10} KiB.",
            code="ovf.manifest",
            hint="Check that this is the package's .mf file.",
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Corrupt(
            f"{what} is not UTF-8 text.", code="ovf.manifest", hint="Export the virtual machine again."
        ) from error
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        algorithm = f"sha{match[1]}" if match else ""
        if match is None or len(match[3]) != _LENGTHS[algorithm]:
            raise Corrupt(
                f"Line {number} of {what[0].lower() + what[1:]} is not a digest: {line.strip()[:100]!r}.",
                code="ovf.manifest",
                hint="Export the virtual machine again.",
            )
        entry = Entry(check_file_name(match[2], what), algorithm, match[3].lower())
        if entries.setdefault(entry.name, entry) != entry:
            raise Corrupt(
                f"{what} gives two digests for {entry.name}.",
                code="ovf.manifest",
                hint="Export the virtual machine again.",
            )
    return tuple(entries.values())


def write_manifest(entries: Iterable[Entry]) -> bytes:
    """The text of a manifest with these entries, in their order."""
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
    """Read every file of ``names`` once and compare it with its entry.

    ``opener`` opens a file by name. Returns name -> digest. Raises NotFound when the
    manifest lists a file that does not exist or lacks one that must be listed, Corrupt when
    a digest differs. ``total`` is the bytes of all files, for ``progress``.
    """
    listed = {entry.name: entry for entry in entries}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in listed:
            raise NotFound(
                f"The manifest of {package} has no digest for {name}.",
                code="ovf.manifest_entry",
                hint="Export the virtual machine again, or remove the .mf file if the files are known to be good.",
                file=name,
            )
    digests = {}
    done = 0
    for entry in listed.values():
        digest = hashlib.new(entry.algorithm)
        with _open(opener, entry.name, package) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                done += len(block)
                progress("verify", done, total)
        found = digest.hexdigest()
        if found != entry.digest:
            raise Corrupt(
                f"The file {entry.name} of {package} is damaged: its {entry.algorithm.upper()} should be {entry.digest} and is {found}.",
                code="ovf.checksum",
                hint="Copy or export the virtual machine again.",
                file=entry.name,
                expected=entry.digest,
                found=found,
            )
        digests[entry.name] = found
    return digests


def _open(opener: Callable[[str], BinaryIO], name: str, package: str) -> BinaryIO:
    try:
        return opener(name)
    except FileNotFoundError as error:
        raise NotFound(
            f"The manifest of {package} lists {name}, which is missing.",
            code="ovf.missing_file",
            hint="Copy or export the virtual machine again.",
            file=name,
        ) from error
