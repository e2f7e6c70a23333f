# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generation of a remote: a tag that every change moves first, so that a single request finds out whether anything changed.

A composer that holds the claim moves the tag before it changes any other tag. Who reads the same generation before and
after it read everything else, and found no claim, has read one state of the remote.
"""

from __future__ import annotations

import secrets

from ...repository.oci_layout import MANIFEST
from ..backends.backend import Backend
from ..items.artifacts import EMPTY, EMPTY_TYPE, descriptor_of, manifest_bytes
from ..items.names import Naming

GENERATION_TYPE = "application/vnd.strata.generation.v1+json"
_TAG = "generation"
_ID = "strata.layering.generation"


def read_generation(backend: Backend, naming: Naming) -> str | None:
    """Return the digest that identifies the generation, None if the remote was never changed."""
    return backend.digest_of(naming.catalog, _TAG)


def advance_generation(backend: Backend, naming: Naming) -> str:
    """Begin a new generation and return its digest. The caller holds the claim; the empty blob was uploaded."""
    notes = {_ID: secrets.token_hex(16)}
    data = manifest_bytes(GENERATION_TYPE, descriptor_of(EMPTY, EMPTY_TYPE), annotations=notes)
    backend.put_manifest(naming.catalog, _TAG, data, MANIFEST)
    return descriptor_of(data, MANIFEST).digest
