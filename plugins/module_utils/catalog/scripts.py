# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that run once in an image: read on the composer, stored as blobs, placed in the image with a plan.

docs/scripts.md describes the runner of the scripts and the format of the plan. Composing places the
scripts with a generated top layer, which is derived from the image's config alone: a later image can
be compared with this image without any file of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..common.composer_paths import current_user, path_hint
from ..common.errors import Corrupt, InvalidInput
from ..layers import entry as model
from ..layers.entry import Entry
from ..layers.layer_version import ROLE_SCRIPT, Blob, LayerReference, LayerVersion, check_script_name
from ..repository.blobs import Descriptor, is_digest
from ..repository.repository import Repository
from .script_record import ScriptRecord
from .script_text import ScriptText, prepare_script

MEDIA_TYPE = "application/vnd.strata.script.v1"
MAX_SCRIPT = 1 << 20
ENDINGS = (".cmd", ".bat", ".ps1")
#: The folder of scripts in an image; files of layers in this folder are removed.
FOLDER = "Windows/Setup/scripts/image"
PLAN = "plan.txt"
#: The label of the template's script: it does not name the template, because templates share images of equal content.
TEMPLATE_LABEL = "image template"
_LONGEST_LABEL = 120
#: The time of placed files, 2020-01-01, so that equal images have equal disks.
_TIME = 132223104000000000
#: Characters that cmd.exe interprets, or that separate the fields of the plan.
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._+,:()\[\]{}#@$=~'-]")
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Script:
    """The name of a script in the image, and the content of its file at ``path``."""

    name: str
    data: bytes
    path: str = ""

    @cached_property
    def text(self) -> ScriptText:
        """The script as it is stored.

        Raises:
            InvalidInput: ``catalog.script_encoding``; ``catalog.script_size`` if it is then too large or empty.
        """
        path = self.path or self.name
        text = prepare_script(path, self.data)
        if not text.data:
            raise _empty(path)
        if len(text.data) > MAX_SCRIPT:
            raise _too_large(path)
        return text

    def is_recorded(self, record: ScriptRecord | None) -> bool:
        """Return whether ``record`` is that of this script; earlier releases stored files without a change."""
        return record == _record(self.name, self.data) or record == _record(self.name, self.text.data)


@dataclass(frozen=True)
class PlacedScript:
    """A script of an image: the label of its layer, its name, and digest and size of its blob."""

    label: str
    name: str
    digest: str
    size: int

    def to_dict(self) -> dict[str, str | int]:
        """Return the JSON object for the image's config."""
        return {"label": self.label, "name": self.name, "digest": self.digest, "size": self.size}

    @classmethod
    def from_dict(cls, value: object) -> PlacedScript:
        """Read the JSON object of an image's config.

        Raises:
            Corrupt catalog.image_corrupt: a field is missing or invalid; the message names it.
        """
        if not isinstance(value, dict):
            raise _damaged("a script is not an object")
        for field, is_valid in _SCRIPT_FIELDS.items():
            if field not in value or not is_valid(value[field]):
                raise _damaged(f"the field {field} of a script is missing or invalid")
        return cls(value["label"], value["name"], value["digest"], value["size"])


def _is_script_name(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(check_script_name(name))
    except InvalidInput:
        return False


_SCRIPT_FIELDS: dict[str, Callable[[object], bool]] = {
    "label": lambda label: isinstance(label, str) and label == safe_label(label),
    "name": _is_script_name,
    "digest": lambda digest: isinstance(digest, str) and is_digest(digest),
    "size": lambda size: isinstance(size, int) and size.__class__ is int and 0 < size <= MAX_SCRIPT,
}


def _damaged(problem: str) -> Corrupt:
    return Corrupt(
        f"The scripts of a thin image are damaged: {problem}.",
        code="catalog.image_corrupt",
        hint="Publish the image again.",
    )


def read_script(path: str | None) -> Script | None:
    """Read the script at ``path`` on the composer; return None without a path.

    Raises:
        InvalidInput catalog.script_kind: the file does not end in .cmd, .bat or .ps1.
        InvalidInput catalog.script_unreadable: the file cannot be read.
        InvalidInput catalog.script_size: the file is empty or larger than 1 MiB.
    """
    if not path:
        return None
    stem, ending = os.path.splitext(os.path.basename(path))
    if ending.lower() not in ENDINGS:
        raise InvalidInput(
            f"The script {path} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.",
            code="catalog.script_kind",
            hint="Set the option script to a batch file or a PowerShell script.",
            path=path,
        )
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_SCRIPT + 1)
    except OSError as error:
        raise InvalidInput(
            f"The script {path} cannot be read: {error.strerror}.",
            code="catalog.script_unreadable",
            hint=f"{path_hint(path, 'script')}Set the option script to a file that the user {current_user()} can read.",
            path=path,
        ) from error
    if not data:
        raise _empty(path)
    if len(data) > MAX_SCRIPT:
        raise _too_large(path)
    plain = _UNUSUAL.sub("-", stem).strip("-.")[:56] or "script"
    return Script(check_script_name(plain + ending.lower()), data, path)


def _empty(path: str) -> InvalidInput:
    return InvalidInput(
        f"The script {path} is empty.",
        code="catalog.script_size",
        hint="Write the script, or omit the option script.",
        path=path,
    )


def _too_large(path: str) -> InvalidInput:
    return InvalidInput(
        f"The script {path} is larger than {MAX_SCRIPT >> 20} MiB.",
        code="catalog.script_size",
        hint="Move data and programs to the files of a layer and use them from the script.",
        path=path,
    )


def describe(script: Script | None) -> ScriptRecord | None:
    """Return the record of a script in documents, None without a script; raise as ``Script.text``."""
    return _record(script.name, script.text.data) if script else None


def warnings_of(script: Script | None, label: str) -> list[str]:
    """Return what may be wrong with a script that will be stored; ``label`` names its layer or template."""
    return [f"Script of the {label}: {warning}" for warning in script.text.warnings] if script else []


def _record(name: str, data: bytes) -> ScriptRecord:
    return ScriptRecord(name, _digest(data), len(data))


def store_script(repository: Repository, script: Script) -> Descriptor:
    """Store a script as a blob."""
    return repository.layout.put_blob(script.text.data, MEDIA_TYPE)


def add_script(repository: Repository, layer: LayerVersion, script: Script | None) -> None:
    """Store ``script`` and add it to a layer version that is stored next."""
    if script is not None:
        layer.script = script.name
        blob = store_script(repository, script)
        layer.blobs[ROLE_SCRIPT] = Blob(blob.media_type, blob.digest, blob.size)


def scripts_of(
    repository: Repository, layers: Sequence[LayerReference], script: ScriptRecord | None
) -> list[PlacedScript]:
    """Return the scripts of an image in the order in which they run.

    These are the scripts of ``layers``, the OS layer first, and ``script`` of the template. Their labels have the names that
    the versions were built with: a layer that is renamed does not change the content of an image.
    """
    from . import layer_store

    placed = []
    for reference in layers:
        layer = layer_store.load_version(repository, reference.digest)
        if layer.script is not None:
            blob = layer_store.role_blob(layer, ROLE_SCRIPT)
            placed.append(PlacedScript(safe_label(layer.label), layer.script, blob.digest, blob.size))
    if script is not None:
        placed.append(PlacedScript(TEMPLATE_LABEL, script.name, script.digest, script.size))
    return placed


def plan_text(content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """Return the plan that the runner in the image reads: ``image=``, then a line ``NN|label|file`` per script."""
    lines = ["image=" + content_digest.partition(":")[2][:16]]
    lines += [f"{number:02}|{script.label}|{_file_name(number, script)}" for number, script in enumerate(scripts, 1)]
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def pack_index(content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """Return the file index of the layer that places ``scripts``."""
    from ..layers.file_index import IndexWriter

    output = io.BytesIO()
    plan = plan_text(content_digest, scripts)
    with IndexWriter(output) as index:
        for entry, script in _entries(len(plan), scripts):
            digest = script.digest if script else _digest(plan) if entry.kind == model.FILE else None
            index.add(entry, bytes.fromhex(digest.partition(":")[2]) if digest else None)
    return output.getvalue()


def pack_archive(repository: Repository, content_digest: str, scripts: Sequence[PlacedScript]) -> bytes:
    """Return the archive of the layer that places ``scripts``; raise NotFound or Corrupt for missing or damaged blobs."""
    from ..layers.archive import ArchiveWriter

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
    """Return the entries of the layer. They inherit the security of C:\\Windows\\Setup."""
    parts = FOLDER.split("/")
    entries: list[tuple[Entry, PlacedScript | None]] = []
    for depth in range(1, len(parts)):
        entries.append((_entry("/".join(parts[:depth]), model.DIRECTORY, implied=True), None))
    entries += [(Entry(FOLDER, model.WHITEOUT), None), (_entry(FOLDER, model.DIRECTORY), None)]
    for number, script in enumerate(scripts, 1):
        entries.append((_entry(f"{FOLDER}/{_file_name(number, script)}", model.FILE, size=script.size), script))
    entries.append((_entry(f"{FOLDER}/{PLAN}", model.FILE, size=plan_size), None))
    return entries


def _entry(path: str, kind: str, *, size: int = 0, implied: bool = False) -> Entry:
    attributes = model.ATTRIBUTE_DIRECTORY if kind == model.DIRECTORY else model.ATTRIBUTE_ARCHIVE
    return Entry(
        path,
        kind,
        attributes=attributes,
        created=_TIME,
        written=_TIME,
        accessed=_TIME,
        changed=_TIME,
        size=size,
        implied=implied,
    )


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _file_name(number: int, script: PlacedScript) -> str:
    return f"{number:02}-{script.name}"


def safe_label(text: str) -> str:
    """Return ``text`` for the plan: at most 120 ASCII characters that cmd.exe does not interpret."""
    return _UNSAFE.sub("_", text)[:_LONGEST_LABEL].strip()
