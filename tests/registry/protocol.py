# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry's protocol: OCI distribution 1.1, as registries answer that people run."""

from __future__ import annotations

import hashlib
import json
import random
import re
import secrets
import urllib.parse
from typing import Any

from .exchange import Exchange, Interrupted
from .store import PIECE, Manifest, Upload, digest_of, is_digest
from .tokens import SERVICE, basic_credentials

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"(?P<name>{_PART}(?:/{_PART})*)"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ROUTES = {
    "upload": re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<reference>[0-9a-f]*)"),
    "blob": re.compile(rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)"),
    "manifest": re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"),
    "tags": re.compile(rf"/v2/{_NAME}/tags/list"),
    "referrers": re.compile(rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)"),
}
INDEX = "application/vnd.oci.image.index.v1+json"


class RegistryExchange(Exchange):
    """A connection to the registry or to its token service."""

    server_name = "registry"

    def act(self) -> None:
        """Answer the request."""
        if self.url_path == "/token":
            self._token()
            return
        if self.url_path == "/v2/":
            if self._allowed([]):
                self.answer(200, b"{}", {"Content-Type": "application/json"})
            return
        for route, pattern in _ROUTES.items():
            if found := pattern.fullmatch(self.url_path):
                self._route(route, found["name"], found.groupdict().get("reference", ""))
                return
        self.error(404, "NAME_INVALID")

    def _route(self, route: str, name: str, reference: str) -> None:
        action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(self.command, "push")
        if route == "upload":
            action = "push"
        needed = [(name, action)]
        source = self.parameter("from")
        if route == "upload" and self.command == "POST" and source:
            needed.append((source, "pull"))
        if not self._allowed(needed):
            return
        method = getattr(self, f"_{self.command.lower()}_{route}", None)
        if method is None:
            self.error(405, "UNSUPPORTED")
        else:
            method(name, reference)

    # Login

    def _allowed(self, needed: list[tuple[str, str]]) -> bool:
        """Return whether the request may act; otherwise it has been answered."""
        settings, header = self.site.settings, self.headers.get("Authorization", "")
        if settings.auth == "none":
            return True
        if settings.auth == "basic":
            if basic_credentials(header) == (settings.username, settings.password):
                return True
            self.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": f'Basic realm="{SERVICE}"'})
            return False
        granted = self.site.tokens.granted(header)
        if granted is not None and granted.issuperset(needed):
            return True
        # As distribution: a push needs pull as well, and a mount two repositories.
        scopes = " ".join(f"repository:{name}:{'pull,push' if action == 'push' else action}" for name, action in needed)
        realm = settings.realm or f"{self.site.info['url']}/token"
        challenge = f'Bearer realm="{realm}",service="{SERVICE}"' + (f',scope="{scopes}"' if scopes else "")
        if granted is not None and needed:
            challenge += ',error="insufficient_scope"'
        elif header:
            challenge += ',error="invalid_token"'
        self.error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": challenge})
        return False

    def _token(self) -> None:
        self.entry.server = "token"
        settings, tokens = self.site.settings, self.site.tokens
        fields, scopes = {name: values[0] for name, values in self.query.items()}, self.query.get("scope", [])
        if self.command == "POST":
            form = urllib.parse.parse_qs((self.body(64 << 10) or b"").decode())
            fields, scopes = {name: values[0] for name, values in form.items()}, form.get("scope", [])
        elif self.command != "GET":
            self.error(405, "UNSUPPORTED")
            return
        known = tokens.knows_user(settings, fields, self.headers.get("Authorization", ""))
        if known is None and settings.anonymous_pull:
            known = None
        elif not known:
            self.error(401, "UNAUTHORIZED")
            return
        offline = fields.get("offline_token") == "true" or fields.get("access_type") == "offline"
        answer = tokens.issue(settings, scopes, user=bool(known), offline=bool(known) and offline)
        self.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    # Blobs

    def _get_blob(self, name: str, digest: str) -> None:
        found = self.site.store.blob(name, digest)
        if found is None:
            self.error(404, "BLOB_UNKNOWN" if self.site.store.exists(name) else "NAME_UNKNOWN")
        elif self.site.settings.redirects:
            query = urllib.parse.urlencode({"X-Amz-Signature": self.site.signature})
            location = f"{self.site.info['store']}/{name}/{digest}?{query}"
            self.answer(307, headers={"Location": location, "Content-Type": "text/html; charset=utf-8"})
        else:
            self.answer_file(found, _blob_headers(digest))

    _head_blob = _get_blob

    def _delete_blob(self, name: str, digest: str) -> None:
        if self.site.settings.deletion == "none":
            self.error(405, "UNSUPPORTED")
        elif self.site.store.delete_blob(name, digest):
            self.answer(202)
        else:
            self.error(404, "BLOB_UNKNOWN")

    # Uploads

    def _post_upload(self, name: str, identifier: str) -> None:
        if identifier:
            self.error(405, "UNSUPPORTED")
            return
        store, settings = self.site.store, self.site.settings
        mounted, digest = self.parameter("mount"), self.parameter("digest")
        if mounted and settings.mount and self.parameter("from"):
            if is_digest(mounted) and store.mount(name, mounted, self.parameter("from")):
                self._created(name, mounted)
                return
        upload = store.begin_upload(name)
        if digest and settings.single_post and not mounted:
            self._receive(upload)
            self._finish(upload, digest)
            return
        headers = {"OCI-Chunk-Min-Length": str(settings.least_chunk)} if settings.least_chunk else {}
        self._answer_upload(upload, 202, headers)

    def _patch_upload(self, name: str, identifier: str) -> None:
        settings = self.site.settings
        upload = self._upload(name, identifier, newest=True)
        if upload is None:
            return
        if settings.patch != 202:
            self.error(settings.patch, "UNSUPPORTED" if settings.patch == 405 else "BLOB_UPLOAD_INVALID")
            return
        if self._misplaced(upload):
            self._answer_upload(upload, 416)
            return
        before = upload.size
        if not self._receive(upload):
            return
        if settings.least_chunk and upload.size - before < settings.least_chunk:
            # The last chunk may be shorter: whether it was the last is known when the next one arrives.
            if getattr(upload, "short", False):
                self.error(416, "BLOB_UPLOAD_INVALID", "the chunk is too short")
                return
            upload.short = True  # type: ignore[attr-defined]
        self._answer_upload(upload, 202)

    def _put_upload(self, name: str, identifier: str) -> None:
        upload = self._upload(name, identifier, newest=True)
        if upload is None:
            return
        if self._misplaced(upload):
            self._answer_upload(upload, 416)
        elif self._receive(upload):
            self._finish(upload, self.parameter("digest"))

    def _get_upload(self, name: str, identifier: str) -> None:
        upload = self._upload(name, identifier, newest=False)
        if upload is not None:
            self._answer_upload(upload, 204)

    _head_upload = _get_upload

    def _delete_upload(self, name: str, identifier: str) -> None:
        upload = self._upload(name, identifier, newest=False)
        if upload is not None:
            self.site.store.end_upload(upload)
            self.answer(204)

    def _upload(self, name: str, identifier: str, *, newest: bool) -> Upload | None:
        """Return the session, or answer 404. The state in the URL must be the newest, or one of those that were issued."""
        upload = self.site.store.uploads.get(identifier)
        state = self.parameter("_state")
        if (
            upload is None
            or upload.repository != name
            or state not in (upload.states[-1:] if newest else upload.states)
        ):
            self.error(404, "BLOB_UPLOAD_UNKNOWN")
            return None
        return upload

    def _misplaced(self, upload: Upload) -> bool:
        found = re.fullmatch(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?", self.headers.get("Content-Range", ""))
        if found is None:
            return False
        length = self.headers.get("Content-Length")
        return int(found[1]) != upload.size or (length is not None and int(length) != int(found[2]) - int(found[1]) + 1)

    def _receive(self, upload: Upload) -> bool:
        """Append the body to the upload; False if the request was answered because the blob is too large.

        Raises Interrupted if the connection ended; what remains of the data is a setting.
        """
        settings = self.site.settings
        before = upload.size
        try:
            with upload.path.open("ab") as stream:
                while piece := self.piece():
                    stream.write(piece)
                    if stream.tell() > settings.largest_blob:
                        self.error(413, "SIZE_INVALID", "the blob is too large")
                        return False
        except (Interrupted, OSError):
            if settings.interrupted == "nothing":
                self.site.store.end_upload(upload)
            elif settings.interrupted == "parts":
                with upload.path.open("r+b") as stream:
                    stream.truncate(before + (upload.size - before) // settings.part_size * settings.part_size)
            raise Interrupted from None
        return True

    def _finish(self, upload: Upload, digest: str) -> None:
        actual = hashlib.sha256()
        with upload.path.open("rb") as stream:
            while piece := stream.read(PIECE):
                actual.update(piece)
        if digest != f"sha256:{actual.hexdigest()}":
            self.site.store.end_upload(upload)
            self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        self.site.store.add_blob(upload.repository, digest, upload.path)
        self.site.store.end_upload(upload)
        self._created(upload.repository, digest)

    def _created(self, name: str, digest: str) -> None:
        self.answer(201, headers={"Location": self._location(f"/v2/{name}/blobs/{digest}"), **_blob_headers(digest)})

    def _answer_upload(self, upload: Upload, status: int, headers: dict[str, str] | None = None) -> None:
        state = urllib.parse.urlencode({"_state": upload.next_state()})
        location = self._location(f"/v2/{upload.repository}/blobs/uploads/{upload.identifier}?{state}")
        ranges = f"0-{max(0, upload.size - 1)}"
        found = {"Location": location, "Range": ranges, "Docker-Upload-UUID": upload.identifier, **(headers or {})}
        self.answer(status, headers=found)

    def _location(self, path: str) -> str:
        return self.site.info["url"] + path if self.site.settings.absolute_locations else path

    # Manifests

    def _get_manifest(self, name: str, reference: str) -> None:
        found = self.site.store.manifest(name, reference)
        if found is None:
            self.error(404, "MANIFEST_UNKNOWN" if self.site.store.exists(name) else "NAME_UNKNOWN")
            return
        headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
        self.answer(200, found.data, headers)

    _head_manifest = _get_manifest

    def _put_manifest(self, name: str, reference: str) -> None:
        settings, store = self.site.settings, self.site.store
        tag = "" if is_digest(reference) else reference
        if tag and not _TAG.fullmatch(tag):
            self.error(404, "NAME_INVALID")
            return
        data = self.body(settings.largest_manifest)
        if data is None:
            self.error(413, "SIZE_INVALID", "the manifest is too large")
            return
        digest = digest_of(data)
        problem = "the digest does not match" if not tag and digest != reference else self._manifest_problem(name, data)
        if problem:
            self.error(400, problem if problem.isupper() else "MANIFEST_INVALID", problem)
            return
        with store.lock:
            existing = store.tags(name).get(tag, digest) if tag else digest
            if settings.immutable_tags and existing != digest:
                self.error(412, "PRECONDITION", f"the tag {tag} is immutable")
                return
            media_type = self.headers.get("Content-Type", "application/octet-stream")
            store.put_manifest(name, data, media_type, tag)
        headers = {"Location": self._location(f"/v2/{name}/manifests/{reference}"), "Docker-Content-Digest": digest}
        subject = json.loads(data).get("subject")
        if subject and settings.referrers:
            headers["OCI-Subject"] = subject["digest"]
        self.answer(201, headers=headers)

    def _manifest_problem(self, name: str, data: bytes) -> str:
        """Return a code (upper case) or a text that says what is wrong with a manifest, or nothing."""
        try:
            document = json.loads(data)
            blobs = [*document.get("layers", []), *([document["config"]] if "config" in document else [])]
            digests = [blob["digest"] for blob in blobs]
            nested = [entry["digest"] for entry in document.get("manifests", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            return "the manifest is not valid"
        if not self.site.settings.check_blobs:
            return ""
        store = self.site.store
        if any(store.blob(name, digest) is None for digest in digests):
            return "MANIFEST_BLOB_UNKNOWN"
        return "MANIFEST_BLOB_UNKNOWN" if any(store.manifest(name, digest) is None for digest in nested) else ""

    def _delete_manifest(self, name: str, reference: str) -> None:
        deletion = self.site.settings.deletion
        if deletion == "none":
            self.error(405, "UNSUPPORTED")
        elif is_digest(reference):
            if self.site.store.delete_manifest(name, reference):
                self.answer(202)
            else:
                self.error(404, "MANIFEST_UNKNOWN")
        elif deletion == "manifests":
            self.error(400, "DIGEST_INVALID")
        elif self.site.store.delete_tag(name, reference):
            self.answer(202)
        else:
            self.error(404, "MANIFEST_UNKNOWN")

    # Lists

    def _get_tags(self, name: str, reference: str) -> None:
        if not self.site.store.exists(name):
            self.error(404, "NAME_UNKNOWN")
            return
        tags, headers = self._page(list(self.site.store.tags(name)), str)
        document = {"name": name, "tags": tags}
        self.answer(200, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})

    def _get_referrers(self, name: str, digest: str) -> None:
        settings = self.site.settings
        if not settings.referrers:
            self.error(404, "NOT_FOUND")
            return
        if not is_digest(digest):
            self.error(400, "DIGEST_INVALID")
            return
        found = [
            _descriptor(manifest)
            for manifest in self.site.store.manifests(name)
            if (manifest.document.get("subject") or {}).get("digest") == digest
        ]
        headers, requested = {"Content-Type": INDEX}, self.parameter("artifactType")
        if requested and settings.referrers_filter:
            found = [descriptor for descriptor in found if descriptor.get("artifactType") == requested]
            headers["OCI-Filters-Applied"] = "artifactType"
        entries, links = self._page(found, _digest_in)
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        self.answer(200, json.dumps(document).encode(), {**headers, **links})

    def _page(self, entries: list[Any], key) -> tuple[list[Any], dict[str, str]]:
        """Return the entries of the requested page, and the headers that lead to the next page."""
        settings, given = self.site.settings, self.parameter("n")
        if not settings.paging:
            random.Random(len(entries)).shuffle(entries)
            return entries, {}
        limits = [number for number in (settings.page_size, int(given) if given.isdigit() else 0) if number]
        last = self.parameter("last")
        entries = [entry for entry in entries if key(entry) > last]
        if not limits or len(entries) <= min(limits):
            return entries, {}
        entries = entries[: min(limits)]
        query = {name: values[0] for name, values in self.query.items()} | {"last": key(entries[-1])}
        path = urllib.parse.urlsplit(self.path).path
        return entries, {"Link": f'<{path}?{urllib.parse.urlencode(query)}>; rel="next"'}


class StoreExchange(Exchange):
    """A connection to the object store: signed URLs only, no other login."""

    server_name = "store"

    def act(self) -> None:
        """Answer the request."""
        name, _slash, digest = self.url_path.strip("/").rpartition("/")
        if self.headers.get("Authorization"):
            self.answer(
                400, b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>"
            )
        elif not secrets.compare_digest(self.parameter("X-Amz-Signature"), self.site.signature):
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif self.command not in ("GET", "HEAD"):
            self.answer(405)
        elif (found := self.site.store.blob(name, digest)) is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.answer_file(found, {"Content-Type": "application/octet-stream", "ETag": f'"{digest[-32:]}"'})


def _blob_headers(digest: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Cache-Control": "max-age=31536000",
    }


def _descriptor(manifest: Manifest) -> dict[str, Any]:
    document = manifest.document
    config = document.get("config") or {}
    found = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.data)}
    found["artifactType"] = document.get("artifactType") or config.get("mediaType", "")
    if document.get("annotations"):
        found["annotations"] = document["annotations"]
    return found


def _digest_in(descriptor: dict[str, Any]) -> str:
    return str(descriptor["digest"])
