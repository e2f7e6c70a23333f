# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document store: small JSON documents by kind and name, ``catalog/<kind>/<encoded name>.json``.

The content of documents is checked by the types in ``catalog``, not here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping

from ..common.atomic_files import atomic_write
from ..common.composer_paths import TEMPORARY_PREFIX
from ..common.errors import Corrupt, InternalError, InvalidInput, NotFound, Unsupported
from .encoding import check_name, encoded_name

SCHEMA_VERSION = 1
MAX_DOCUMENT = 4 << 20
_KIND = re.compile(r"[a-z][a-z_]{0,31}")


class Catalog:
    """The documents below ``folder``.

    Writing is atomic. A process that changes a document holds a lock from reading to writing.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def get(self, kind: str, name: str) -> dict | None:
        """Return a document, None if there is none; Corrupt (``repository.catalog_corrupt``) if its file is damaged."""
        found = self._read(self._path(kind, name), missing=True)
        if found is None:
            return None
        if found["name"] != name or found["kind"] != kind:
            raise self._damaged(self._path(kind, name))
        return found["document"]

    def require(self, kind: str, name: str) -> dict:
        """Return a document; NotFound (``repository.catalog_missing``) if there is none."""
        document = self.get(kind, name)
        if document is None:
            known = ", ".join(self.names(kind)[:20])
            raise NotFound(
                f"The repository has no {kind.replace('_', ' ')} named {name!r}.",
                code="repository.catalog_missing",
                hint=f"It has: {known}."
                if known
                else f"The repository has no {kind.replace('_', ' ')} at all: create one first.",
                kind=kind,
                name=name,
            )
        return document

    def put(self, kind: str, name: str, document: dict) -> bool:
        """Store a document; return whether it differs from the stored one (otherwise nothing is written).

        Raises:
            InvalidInput: ``repository.name``; ``repository.catalog_document`` if it is too large;
                ``repository.catalog_text`` if a text is not valid Unicode.
            NoSpace: ``common.files_no_space``.
        """
        path = self._path(kind, name)
        envelope = {"schema_version": SCHEMA_VERSION, "kind": kind, "name": name, "document": document}
        try:
            text = json.dumps(envelope, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InternalError(
                f"The {kind} {name!r} cannot be stored as JSON ({error}).", code="repository.catalog_json"
            ) from None
        try:
            data = text.encode("utf-8") + b"\n"
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"The {kind.replace('_', ' ')} {name!r} has a text that is not valid Unicode: "
                f"{error.object[max(error.start - 20, 0) : error.end + 20]!r}.",
                code="repository.catalog_text",
                hint="Remove the character from the option of the module.",
            ) from None
        if len(data) > MAX_DOCUMENT:
            raise InvalidInput(
                f"The document of the {kind.replace('_', ' ')} {name!r} has {len(data)} bytes; "
                f"at most {MAX_DOCUMENT} are allowed.",
                code="repository.catalog_document",
                hint="Shorten descriptions, or delete versions that are no longer needed.",
            )
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
            if stream.read(len(data) + 1) == data:
                return False
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_write(path, data)
        return True

    def delete(self, kind: str, name: str) -> bool:
        """Delete a document; return whether it existed."""
        try:
            os.unlink(self._path(kind, name))
        except FileNotFoundError:
            return False
        return True

    def kinds(self) -> list[str]:
        """Return the kinds that have documents, sorted."""
        try:
            return sorted(kind for kind in os.listdir(self._folder) if _KIND.fullmatch(kind) and self._files(kind))
        except FileNotFoundError:
            return []

    def names(self, kind: str) -> list[str]:
        """Return the names of all documents of a kind, sorted without regard to case first."""
        return [name for name, _document in self.documents(kind)]

    def documents(self, kind: str) -> list[tuple[str, dict]]:
        """Return (name, document) of all documents of a kind, sorted by name without regard to case first."""
        found = []
        for path in self._files(kind):
            envelope = self._read(path, missing=True)  # it may have been deleted since it was listed
            if envelope is not None:
                found.append((envelope["name"], envelope["document"]))
        return sorted(found, key=lambda item: (item[0].casefold(), item[0]))

    def _files(self, kind: str) -> list[str]:
        folder = os.path.join(self._folder, self._check_kind(kind))
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
        return sorted(
            os.path.join(folder, name)
            for name in names
            if name.endswith(".json") and not name.startswith(TEMPORARY_PREFIX)
        )

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self._folder, self._check_kind(kind), encoded_name(check_name(name)) + ".json")

    @staticmethod
    def _check_kind(kind: str) -> str:
        if not _KIND.fullmatch(kind):
            raise InternalError(f"{kind[:40]!r} is not a kind of document.", code="repository.catalog_kind")
        return kind

    @classmethod
    def _read(cls, path: str, *, missing: bool) -> dict | None:
        try:
            with open(path, "rb") as stream:
                data = stream.read(MAX_DOCUMENT + 1)
        except FileNotFoundError:
            if missing:
                return None
            raise
        try:
            envelope = json.loads(data) if len(data) <= MAX_DOCUMENT else None
        except (ValueError, RecursionError):
            envelope = None
        if not isinstance(envelope, dict) or envelope.get("schema_version").__class__ is not int:
            raise cls._damaged(path)
        if envelope["schema_version"] > SCHEMA_VERSION:
            raise Unsupported(
                f"The document {path} has schema version {envelope['schema_version']}; "
                f"this version of the collection reads up to {SCHEMA_VERSION}.",
                code="repository.catalog_schema",
                hint="Update the collection strata.layering on this composer.",
            )
        kind = envelope.get("kind")
        if (
            not isinstance(envelope.get("name"), str)
            or not isinstance(kind, str)
            or not isinstance(envelope.get("document"), dict)
        ):
            raise cls._damaged(path)
        return envelope

    @staticmethod
    def _damaged(path: str) -> Corrupt:
        return Corrupt(
            f"The document {path} is damaged.",
            code="repository.catalog_corrupt",
            hint="Restore the file from a backup of the repository, or delete it.",
        )


class OverlaidCatalog(Catalog):
    """A catalog as it would be with ``changes`` by kind and name; None deletes a document. Nothing is stored.

    Documents are read once: later changes of the folder by other processes are not seen.
    """

    def __init__(self, folder: str, changes: Mapping[tuple[str, str], dict | None]) -> None:
        super().__init__(folder)
        self._changes = dict(changes)
        self._found: dict[tuple[str, str], dict | None] = {}

    def get(self, kind: str, name: str) -> dict | None:
        """Return a document, None if there is none; raise as ``Catalog.get``."""
        if (kind, name) in self._changes:
            return self._changes[kind, name]
        if (kind, name) not in self._found:
            self._found[kind, name] = super().get(kind, name)
        return self._found[kind, name]

    def put(self, kind: str, name: str, document: dict) -> bool:
        """Refuse to store a document."""
        raise InternalError(
            f"The {kind} {name!r} was to be stored in a catalog that shows the future.",
            code="repository.catalog_overlaid",
        )

    def delete(self, kind: str, name: str) -> bool:
        """Refuse to delete a document."""
        raise InternalError(
            f"The {kind} {name!r} was to be deleted in a catalog that shows the future.",
            code="repository.catalog_overlaid",
        )

    def documents(self, kind: str) -> list[tuple[str, dict]]:
        """Return (name, document) of all documents of a kind, sorted by name without regard to case first."""
        found = dict(super().documents(kind))
        for (changed, name), document in self._changes.items():
            if changed != kind:
                continue
            found.pop(name, None)
            if document is not None:
                found[name] = document
        return sorted(found.items(), key=lambda item: (item[0].casefold(), item[0]))
