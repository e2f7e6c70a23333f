# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, write and verify OVF manifests (.mf), which hold the digests of a package's files.

Source: DSP0243, chapter 5 (package manifest): lines of ``SHA256(name)= hexadecimal``. OpenSSL 3, with which
administrators re-create manifests, writes ``SHA2-256``; GNU coreutils write ``hexadecimal  name`` and, with --tag,
``SHA256 (name) = hexadecimal``. Some tools append to the manifest of an earlier export, so that a file has several
digests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Corrupt, NotFound
from ..common.progress import Progress, silent
from .descriptor import check_file_path

MAXIMUM_BYTES = 1 << 20
_BLOCK = 1 << 20
_LENGTHS = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_ALGORITHMS = {length: algorithm for algorithm, length in _LENGTHS.items()}
_TAGGED = re.compile(r"SHA(?:2?-)?(1|256|384|512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)", re.IGNORECASE)
_COREUTILS = re.compile(r"([0-9a-fA-F]+) [ *](.+)")
_UNVERIFIED = "or remove the .mf file if you know that the files are intact: the package is then used with a warning"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a manifest: ``algorithm`` is "sha1", "sha256", "sha384" or "sha512"; ``digest`` is lower-case hexadecimal."""

    name: str
    algorithm: str
    digest: str


def parse_manifest(data: bytes, subject: str = "The OVF manifest") -> tuple[Entry, ...]:
    """Return the entries of a manifest, in order; a file may have several.

    ``subject`` is the manifest's name at the start of error messages.

    Raises:
        Corrupt: ``ovf.manifest`` if the manifest is damaged; ``ovf.file_name`` if it names a file outside its folder.
    """
    if len(data) > MAXIMUM_BYTES:
        raise Corrupt(
            f"{subject} has more than {MAXIMUM_BYTES >> 10} KiB, the limit for a manifest.",
            code="ovf.manifest",
            hint=f"Check that the .mf file belongs to the package, {_UNVERIFIED}.",
        )
    try:
        # PowerShell writes UTF-16 when output is redirected to a file.
        lines = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Corrupt(
            f"{subject} is not UTF-8 text.",
            code="ovf.manifest",
            hint=f"Export the virtual machine again, {_UNVERIFIED}.",
        ) from error
    entries: dict[Entry, None] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        entry = _entry(line, subject)
        if entry is None:
            raise Corrupt(
                f"Line {number} of {subject[0].lower() + subject[1:]} is not a digest of a file: {line[:100]!r}.",
                code="ovf.manifest",
                hint=f"Correct or delete the line, {_UNVERIFIED}.",
                line=number,
            )
        entries[entry] = None
    return tuple(entries)


def _entry(line: str, subject: str) -> Entry | None:
    """Return the entry in a line, None if the line has no known form."""
    tagged, plain = _TAGGED.fullmatch(line), _COREUTILS.fullmatch(line)
    if tagged:
        algorithm, name, digest = f"sha{tagged[1]}", tagged[2], tagged[3]
    elif plain:
        algorithm, name, digest = _ALGORITHMS.get(len(plain[1]), ""), plain[2], plain[1]
    else:
        return None
    if _LENGTHS.get(algorithm) != len(digest):
        return None
    return Entry(check_file_path(name, subject), algorithm, digest.lower())


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
    """Read every listed file once, compare it with its entries, and return the digests by file name.

    A file with several entries must match one of them. ``names`` are the files that must be listed. ``opener`` opens
    a file by name. ``package`` is the package's path for error messages. ``total`` is the number of bytes of all
    files, for ``progress``.

    Raises:
        NotFound: ``ovf.manifest_entry`` if a file of ``names`` is not listed; ``ovf.missing_file`` if a listed
            file does not exist.
        Corrupt: ``ovf.checksum`` if no digest of a file matches.
    """
    listed: dict[str, list[Entry]] = {}
    for entry in entries:
        listed.setdefault(entry.name, []).append(entry)
    for name in dict.fromkeys(names):
        if name not in listed:
            raise NotFound(
                f"The manifest of {package} has no digest for {name}.",
                code="ovf.manifest_entry",
                hint=f"Export the virtual machine again, {_UNVERIFIED}.",
                file=name,
            )
    digests: dict[str, str] = {}
    done = 0
    for name, claims in listed.items():
        hashes = {entry.algorithm: hashlib.new(entry.algorithm) for entry in claims}
        with _open(opener, name, package) as stream:
            while block := stream.read(_BLOCK):
                for digest in hashes.values():
                    digest.update(block)
                done += len(block)
                progress("verify", done, total)
        found = {algorithm: digest.hexdigest() for algorithm, digest in hashes.items()}
        digests[name] = _matching(claims, found, name, package)
    return digests


def _matching(claims: list[Entry], found: dict[str, str], name: str, package: str) -> str:
    """Return the digest of the last entry that matches; ``found`` are the file's digests by algorithm."""
    for entry in reversed(claims):
        if found[entry.algorithm] == entry.digest:
            return entry.digest
    expected = claims[-1]
    raise Corrupt(
        f"The file {name} of {package} is damaged: expected {expected.algorithm.upper()} {expected.digest}, "
        f"found {found[expected.algorithm]}.",
        code="ovf.checksum",
        hint="Copy the package again, or export the virtual machine again into an empty folder.",
        file=name,
        expected=expected.digest,
        found=found[expected.algorithm],
    )


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
