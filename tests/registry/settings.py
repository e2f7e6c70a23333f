# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the registry: its defaults are a registry with all functions of OCI distribution 1.1 and no login."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """How the registry behaves. Names of registries in comments have this behaviour, too."""

    # Login
    auth: str = "none"  # none, basic, bearer
    username: str = "pusher"
    password: str = "s3cret/Pa ss"
    #: Seconds after which a Bearer token is refused.
    token_lifetime: float = 300.0
    #: The value of ``expires_in`` in the answer of the token service; None leaves it out, -1: ``token_lifetime``.
    expires_in: float | None = -1
    #: The names of the fields that hold the token.
    token_fields: tuple[str, ...] = ("token", "access_token")
    #: The token service returns a refresh token if a client asks for it (``offline_token=true``).
    refresh_tokens: bool = True
    #: A refresh token that is valid from the start.
    refresh_token: str = ""
    #: A client without a login gets tokens for pull.
    anonymous_pull: bool = False
    #: The token service grants no more than pull to the user.
    read_only: bool = False
    #: The realm in the challenge, if it is not that of this registry.
    realm: str = ""

    # Uploads
    #: A request with PATCH is answered: 202, or a status that refuses it (GCR-like registries: 405).
    patch: int = 202
    #: ``POST ?digest=`` with the data is accepted (False: the data is ignored and a session is opened; distribution).
    single_post: bool = True
    mount: bool = True
    #: What remains of a request that ended early: "bytes" (distribution 3, olareg), "parts" of ``part_size`` bytes
    #: (distribution 3 on S3), or "nothing": the session ends (distribution 2.8, zot).
    interrupted: str = "bytes"
    part_size: int = 5 << 20
    #: The least size of a chunk in bytes, except the last; announced as OCI-Chunk-Min-Length.
    least_chunk: int = 0
    #: Bytes that an upload may have; more is answered with 413.
    largest_blob: int = 1 << 50
    #: ``Location`` is a URL; False: a path.
    absolute_locations: bool = False

    # Downloads
    ranges: bool = True
    #: Ranges without an end are answered with 206 (False: 416; crane's registry).
    open_ranges: bool = True
    #: Blobs are redirected (307) to the object store, which refuses requests with Authorization.
    redirects: bool = False

    # Manifests and tags
    referrers: bool = True
    #: The referrers API applies the filter ``artifactType``.
    referrers_filter: bool = True
    #: Manifests whose blobs or manifests are missing are refused (False: zot, crane's registry).
    check_blobs: bool = True
    #: A tag cannot be moved to a different manifest: 412, as Harbor answers.
    immutable_tags: bool = False
    #: "all", "manifests" (a tag cannot be deleted: 400; distribution 2.8), "none" (405).
    deletion: str = "all"
    #: Tags and referrers are listed in pages (False: ``n`` is ignored and the order is random; distribution 2.8).
    paging: bool = True
    #: At most this number of entries on a page; 0: no limit of the server.
    page_size: int = 0
    largest_manifest: int = 4 << 20

    #: Seconds that are added to the time of the header Date.
    clock_offset: float = 0.0

    def changed(self, **changes: Any) -> Settings:
        """Return a copy with changes. Raises TypeError for an unknown name."""
        if "token_fields" in changes:
            changes["token_fields"] = tuple(changes["token_fields"])
        return dataclasses.replace(self, **changes)
