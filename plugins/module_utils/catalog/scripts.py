# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that run once in an image: read from the composer, kept as blobs, placed in the image with a plan.

What runs them, and the form of the plan, is described in docs/scripts.md. They are placed by
what looks to composing like one more layer on top, made of nothing but what the image's config
says, so that a later image can be told from this one without any file of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..common.errors import Corrupt, InvalidInput
from ..layers import entry as model
from ..layers.archive import ArchiveWriter
from ..layers.entry import Entry
from ..layers.file_index import IndexWriter
from ..layers.layer_version import ROLE_SCRIPT, Blob, LayerReference, LayerVersion, check_script_name
from ..repository.blobs import Descriptor, is_digest
from ..repository.repository import Repository
from . import layer_store
from .resolved_template import label

MEDIA_TYPE = "application/vnd.strata.script.v1"
MAX_SCRIPT = 1 << 20
ENDINGS = (".cmd", ".bat", ".ps1")
#: Where scripts are in an image; nothing that a layer brings there, or has captured there, stays.
FOLDER = "Windows/Setup/scripts/image"
PLAN = "plan.txt"
#: How the image's template is called where scripts are named: images of equal content are shared by templates.
TEMPLATE_LABEL = "image template"
_LONGEST_LABEL = 120
#: The time that placed files carry, 2020-01-01: equal images have equal disks.
_TIME = 132223104000000000
#: Characters that cmd.exe would act upon, or that separate the fields of the plan.
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._+,:()\[\]{}#@$=~'-]")
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Script:
    """A script's name in the image and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class PlacedScript:
    """A script of an image: whose it is, its name, and its blob's digest and size."""

    label: str
    name: str
    digest: str
    size: int

    def to_dict(self) -> dict:
        """For the image's config."""
        return {"label": self.label, "name": self.name, "digest": self.digest, "size": self.size}

    @classmethod
    def from_dict(cls, value: object) -> PlacedScript:
        """From an image's config; Corrupt when it is none."""
        try:
            script = cls(value["label"], check_script_name(value["name"]), value["digest"], value["size"])
            if (
                is_digest(script.digest)
                and script.label == safe_label(script.label)
                and script.size.__class__ is int
                and 0 < script.size <= MAX_SCRIPT
            ):
                return script
        except (KeyError, TypeError, InvalidInput):
            pass
        raise Corrupt(
            "The scripts of a thin image are damaged.", code="catalog.image_corrupt", hint="Publish the image again."
        )


def read_script(path: str | None) -> Script | None:
    """The script at ``path`` on the composer, None without a path; InvalidInput when it cannot be one."""
    if not path:
        return None
    stem, ending = os.path.splitext(os.path.basename(path))
    if ending.lower() not in ENDINGS:
        raise InvalidInput(
            f"The script {path} is no .cmd, .bat or .ps1 file.",
            code="catalog.script_kind",
            hint="Give a script that Windows can run by its ending.",
        )
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_SCRIPT + 1)
    except OSError as error:
        raise InvalidInput(
            f"The script {path} cannot be read: {error.strerror}.",
            code="catalog.script_unreadable",
            hint="Give a file on the composer.",
        ) from error
    if not 0 < len(data) <= MAX_SCRIPT:
        raise InvalidInput(
            f"The script {path} is {'empty' if not data else 'larger than 1 MiB'}.",
            code="catalog.script_size",
            hint="Put what it needs into the layer's files and let the script use it.",
        )
    plain = _UNUSUAL.sub("-", stem).strip("-.")[:56] or "script"
    return Script(check_script_name(plain + ending.lower()), data)


def describe(script: Script | None) -> dict | None:
    """What documents say about a script: name, digest and size; None without one."""
    if script is None:
        return None
    return {"name": script.name, "digest": _digest(script.data), "size": len(script.data)}


def store_script(repository: Repository, script: Script) -> Descriptor:
    """Keep a script as a blob."""
    return repository.layout.put_blob(script.data, MEDIA_TYPE)


def add_script(repository: Repository, layer: LayerVersion, script: Script | None, *, check_mode: bool) -> None:
    """Make ``script`` part of a layer version that is about to be stored."""
    if script is not None:
        layer.script = script.name
        if not check_mode:
            blob = store_script(repository, script)
            layer.blobs[ROLE_SCRIPT] = Blob(blob.media_type, blob.digest, blob.size)


def scripts_of(repository: Repository, layers: Sequence[LayerReference], script: dict | None) -> list[PlacedScript]:
    """The scripts of layer versions, the OS layer's first, and the template's ``script`` (name, digest, size), in the order in which they run."""
    found = []
    for reference in layers:
        layer = layer_store.load_version(repository, reference.digest)
        if layer.script is not None:
            blob = layer_store.role_blob(layer, ROLE_SCRIPT)
            found.append(PlacedScript(safe_label(label(reference)), layer.script, blob.digest, blob.size))
    if script is not None:
        found.append(PlacedScript(TEMPLATE_LABEL, script["name"], script["digest"], script["size"]))
    return found


def plan_text(content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """The plan that the image's runner reads: ``image=``, then a line ``NN|label|file`` for each script."""
    lines = ["image=" + content_digest.partition(":")[2][:16]]
    lines += [f"{number:02}|{script.label}|{_file_name(number, script)}" for number, script in enumerate(scripts, 1)]
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def pack_index(content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """The file index of the layer that places ``scripts``."""
    output = io.BytesIO()
    plan = plan_text(content_digest, scripts)
    with IndexWriter(output) as index:
        for entry, script in _entries(len(plan), scripts):
            digest = script.digest if script else _digest(plan) if entry.kind == model.FILE else None
            index.add(entry, bytes.fromhex(digest.partition(":")[2]) if digest else None)
    return output.getvalue()


def pack_archive(repository: Repository, content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """The archive of the layer that places ``scripts``; NotFound or Corrupt when a script's blob is gone or damaged."""
    output = io.BytesIO()
    plan = plan_text(content_digest, scripts)
    with ArchiveWriter(output, threads=1) as archive:
        for entry, script in _entries(len(plan), scripts):
            if script is not None:
                archive.add(
                    entry, repository.layout.blobs.read(Descriptor(MEDIA_TYPE, script.digest, script.size), MAX_SCRIPT)
                )
            else:
                archive.add(entry, plan if entry.kind == model.FILE else None)
    return output.getvalue()


def _entries(plan_size: int, scripts: Sequence[PlacedScript]) -> list[tuple[Entry, PlacedScript | None]]:
    """The layer's entries. No security descriptors: who may write in C:\\Windows\\Setup may write here."""
    parts = FOLDER.split("/")
    found: list[tuple[Entry, PlacedScript | None]] = []
    for depth in range(1, len(parts)):
        found.append((_entry("/".join(parts[:depth]), model.DIRECTORY, implied=True), None))
    found += [(Entry(FOLDER, model.WHITEOUT), None), (_entry(FOLDER, model.DIRECTORY), None)]
    for number, script in enumerate(scripts, 1):
        found.append((_entry(f"{FOLDER}/{_file_name(number, script)}", model.FILE, size=script.size), script))
    found.append((_entry(f"{FOLDER}/{PLAN}", model.FILE, size=plan_size), None))
    return found


def _entry(path: str, kind: str, **more) -> Entry:
    attributes = model.ATTRIBUTE_DIRECTORY if kind == model.DIRECTORY else model.ATTRIBUTE_ARCHIVE
    return Entry(path, kind, attributes=attributes, created=_TIME, written=_TIME, accessed=_TIME, changed=_TIME, **more)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _file_name(number: int, script: PlacedScript) -> str:
    return f"{number:02}-{script.name}"


def safe_label(text: str) -> str:
    """``text`` as plans name what a script belongs to: ASCII that cmd.exe does not act upon, bounded."""
    return _UNSAFE.sub("_", text)[:_LONGEST_LABEL].strip()
