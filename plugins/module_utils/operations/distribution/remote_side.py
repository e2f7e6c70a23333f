# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the remote that options name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...common.errors import InvalidInput
from ...distribution.backends.archive import Archive
from ...distribution.backends.backend import Backend
from ...distribution.backends.folder import Folder
from ...distribution.items.names import Naming
from ...distribution.sides.local import Local
from ...distribution.sides.remote import Remote
from ...distribution.signatures.trust import SignatureGuard
from ...repository.repository import Repository
from ...shares.open import open_file, open_share
from .remote_options import RemoteOptions


@contextmanager
def open_remote(
    options: RemoteOptions, guard: SignatureGuard | None, *, create: bool = False, writable: bool = False
) -> Iterator[Remote | Local]:
    """Open a remote during the block. ``create``: a folder without content and a missing file count as an empty remote.

    ``writable``: a different repository is going to be changed.

    An archive file is written at the end of the block, unless the block raises.

    Raises:
        StrataError: the remote cannot be opened.
    """
    if options.other_repository is not None:
        yield Local(Repository.open(options.other_repository, writable=writable))
        return
    with _backend(options, create) as backend:
        prefix = options.registry.address.prefix if options.registry else ""
        yield Remote(backend, Naming(prefix, options.flat and options.registry is not None), guard)


def _backend(options: RemoteOptions, create: bool) -> Backend:
    if options.registry is not None:
        from ...oci_registry.registry import Registry

        return Registry.connect(options.registry)
    if options.file_share is not None:
        return Folder(open_share(options.file_share, options.credentials), create=create)
    if options.file is not None:
        return Archive(*open_file(options.file, options.credentials, "file"), create=create)
    raise InvalidInput(
        "No remote is set.", code="operations.remote", hint="Set registry, file_share, other_repository or file."
    )
