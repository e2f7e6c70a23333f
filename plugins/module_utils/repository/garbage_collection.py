# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping a repository sound and small: verifying every digest, removing what nothing refers to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ..common.atomic_files import TEMPORARY_PREFIX
from ..common.errors import Corrupt, NotFound, StrataError
from ..common.progress import Progress, silent
from .blobs import Descriptor
from .oci_layout import INDEX, MANIFEST, MAX_JSON

if TYPE_CHECKING:
    from .repository import Repository

GRACE = 24 * 3600.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong: ``problem`` is missing, digest, size, manifest or document."""

    problem: str
    what: str
    message: str
    needed_by: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """For a module's result."""
        return {**asdict(self), "needed_by": list(self.needed_by)}


@dataclass
class Collected:
    """What collecting removed (or, on a dry run, would remove)."""

    freed: int = 0
    blobs: list[str] = field(default_factory=list)
    temporaries: int = 0
    kept_young: int = 0


def verify(repository: Repository, progress: Progress = silent) -> list[Damage]:
    """Read every blob, manifest and document; return what is damaged, sorted.

    Blobs that nothing refers to are verified too. Takes as long as reading the repository.
    """
    damages: list[Damage] = []
    needed, broken = _needed(repository)
    damages += broken
    present = repository.layout.blobs.digests()
    total = 0
    for digest in present:
        with contextlib.suppress(NotFound):
            total += repository.layout.size(digest)
    done = 0
    for digest in present:
        users = tuple(sorted(needed[digest][1])) if digest in needed else ()
        expected = needed[digest][0] if digest in needed else None
        try:
            size = repository.layout.blobs.verify(
                digest, lambda step, now, _size, base=done: progress(step, base + now, total)
            )
            done += size
            if expected is not None and size != expected:
                damages.append(
                    Damage("size", digest, f"The blob {digest} has {size} bytes where {expected} are expected.", users)
                )
        except (StrataError, OSError) as error:
            damages.append(
                Damage(
                    "digest",
                    digest,
                    error.message if isinstance(error, StrataError) else f"The blob {digest} cannot be read: {error}",
                    users,
                )
            )
    for digest in sorted(set(needed).difference(present)):
        if needed[digest][0] is not None:
            damages.append(
                Damage("missing", digest, f"The blob {digest} is missing.", tuple(sorted(needed[digest][1])))
            )
    for kind in repository.catalog.kinds():
        try:
            repository.catalog.documents(kind)
        except StrataError as error:
            damages.append(Damage("document", kind, error.message))
    return sorted(damages, key=lambda damage: (damage.problem, damage.what, damage.message))


def collect(
    repository: Repository,
    *,
    references: Collection[str] = (),
    grace: float = GRACE,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Collected:
    """Remove ``references`` of index.json, blobs that nothing else refers to, and what killed processes left, if older than ``grace`` seconds.

    Kept is what a reference of index.json, a document of the catalogue or the pin of a living task
    names, with all that manifests among them refer to. Corrupt, and nothing is removed, when a
    manifest cannot be read, as what it needs is not known then.
    """
    result = Collected()
    with repository.locks.hold("collect", timeout=600, purpose="collect the repository"):
        for reference in () if dry_run else references:
            repository.layout.remove_reference(reference)
        needed, broken = _needed(repository, references)
        for digest in repository.pins.live(sweep=not dry_run):
            _follow(repository, Descriptor(MANIFEST, digest, 0), "pin", needed, broken, sure=False)
        if broken:
            raise Corrupt(
                f"The repository cannot be collected: {broken[0].message}",
                code="repository.collect_unsafe",
                hint="Verify the repository, and restore or remove what it lists as damaged.",
                damaged=[damage.to_dict() for damage in broken],
            )
        oldest = _now(repository.path) - grace
        unneeded = [digest for digest in repository.layout.blobs.digests() if digest not in needed]
        for number, digest in enumerate(unneeded):
            try:
                status = os.stat(repository.layout.blobs.path(digest))
            except FileNotFoundError:
                continue
            if status.st_mtime > oldest:
                result.kept_young += 1
                continue
            result.blobs.append(digest)
            result.freed += status.st_size if dry_run else repository.layout.blobs.remove(digest)
            progress("collect", number + 1, len(unneeded))
        _sweep_temporaries(repository.path, oldest, dry_run, result)
    return result


def _needed(
    repository: Repository, without: Collection[str] = ()
) -> tuple[dict[str, tuple[int | None, set[str]]], list[Damage]]:
    """Digest -> (size or None, who needs it) of everything referred to but by the references ``without``, and what could not be followed."""
    needed: dict[str, tuple[int | None, set[str]]] = {}
    broken: list[Damage] = []
    for item in repository.layout.index():
        descriptor = Descriptor.from_json(item)
        user = str(item.get("annotations", {}).get("org.opencontainers.image.ref.name", descriptor.digest))
        if user not in without:
            _follow(repository, descriptor, user, needed, broken, sure=True)
    for kind in repository.catalog.kinds():
        try:
            documents = repository.catalog.documents(kind)
        except StrataError as error:
            broken.append(Damage("document", kind, error.message))
            continue
        for name, document in documents:
            # A document may also hold digests of things that are no blobs; only those that are there are followed.
            for digest in set(_DIGEST.findall(json.dumps(document))):
                if repository.layout.has(digest):
                    _follow(repository, Descriptor(MANIFEST, digest, 0), f"{kind} {name}", needed, broken, sure=False)
    return needed, broken


def _follow(
    repository: Repository,
    first: Descriptor,
    user: str,
    needed: dict[str, tuple[int | None, set[str]]],
    broken: list[Damage],
    *,
    sure: bool,
) -> None:
    """Mark ``first`` and all it refers to. Unless ``sure``, it may be any blob, and is a manifest only if it reads as one."""
    waiting = [(first, sure)]
    seen: set[str] = set()
    while waiting:
        descriptor, certain = waiting.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        size, users = needed.get(descriptor.digest, (None, set()))
        needed[descriptor.digest] = (descriptor.size if certain else size, users | {user})
        if descriptor.media_type not in (MANIFEST, INDEX):
            continue
        try:
            waiting += [(child, True) for child in _children(repository, descriptor.digest, certain)]
        except NotFound:
            if certain:
                broken.append(
                    Damage(
                        "missing", descriptor.digest, f"The manifest {descriptor.digest} of {user} is missing.", (user,)
                    )
                )
        except StrataError as error:
            broken.append(Damage("manifest", descriptor.digest, error.message, (user,)))


def _children(repository: Repository, digest: str, certain: bool) -> list[Descriptor]:
    blobs = repository.layout.blobs
    if not certain:
        if blobs.size(digest) > MAX_JSON:
            return []
        with blobs.open(digest, verify=False) as stream:
            if stream.read(1) != b"{":
                return []
    data = blobs.read(digest, MAX_JSON)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("mediaType") not in (MANIFEST, INDEX):
        if not certain:
            return []
        raise Corrupt(f"The blob {digest} is not a manifest.", code="repository.manifest", digest=digest)
    listed = (
        document.get("manifests")
        if document["mediaType"] == INDEX
        else [document.get("config"), *(document.get("layers") or ())]
    )
    if not isinstance(listed, list):
        raise Corrupt(f"The manifest {digest} is not well formed.", code="repository.manifest", digest=digest)
    return [Descriptor.from_json(item) for item in listed]


def _now(folder: str) -> float:
    """The file server's time, which is what blobs carry."""
    path = os.path.join(folder, "tmp", TEMPORARY_PREFIX + secrets.token_hex(12))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, b"\0")
        os.fsync(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        os.unlink(path)


def _sweep_temporaries(root: str, oldest: float, dry_run: bool, result: Collected) -> None:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
        for name in names:
            if not name.startswith(TEMPORARY_PREFIX):
                continue
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                if status.st_mtime > oldest:
                    continue
                if not dry_run:
                    os.unlink(path)
                result.temporaries += 1
                result.freed += status.st_size
