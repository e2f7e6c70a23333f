# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of layers for tests that need no blobs."""

from __future__ import annotations

from ...plugins.module_utils.catalog.layer_document import LayerEntry, OsLayerEntry, SoftwareLayerEntry
from ...plugins.module_utils.catalog.version_name import VersionName
from ...plugins.module_utils.layers.layer_version import DEPLOYABLE

DIGEST = "sha256:" + "1" * 64
WINDOWS = VersionName("Windows", "1")


def os_entry(**fields) -> OsLayerEntry:
    """Return a version of an OS layer."""
    return OsLayerEntry(**_common() | {"size_gb": 60, "windows": {}} | fields)


def software_entry(**fields) -> SoftwareLayerEntry:
    """Return a version of an app or platform layer for version 1 of the OS layer Windows."""
    own = {"content_digest": DIGEST, "os_layer": WINDOWS, "prerequisites": (), "changes": {}}
    return SoftwareLayerEntry(**_common() | own | fields)


def entry(kind: str, **fields) -> LayerEntry:
    """Return a version of a layer of a kind."""
    return os_entry(**fields) if kind == "os" else software_entry(**fields)


def _common() -> dict:
    return {
        "digest": DIGEST,
        "status": DEPLOYABLE,
        "size": 1,
        "version_description": "",
        "created": "2026-01-01T00:00:00Z",
        "source": {},
        "script": None,
    }
