# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of documents in the repository, as folders and envelopes of the document store name them."""

from __future__ import annotations

from ..layers.layer_version import APP, KINDS, OS, PLATFORM

CONNECTOR = "connector"
TEMPLATE = "image_template"
TASK = "task"
IMAGE = "image"
PACKAGING = "packaging"
CANCELLATION = "cancellation"
NOISE_PROFILE = "noise_profile"
#: The journal of a rename that is being carried out.
RENAME = "rename"
EXCHANGED_TEMPLATE = "exchanged_template"
#: The kind of a packaging machine for the noise profile of an OS layer version; the other kinds are those of layers.
NOISE = "noise"
#: The lock for every change of the references between documents.
LOCK = "catalog"

_LAYER_LABELS = {OS: "OS layer", APP: "app layer", PLATFORM: "platform layer"}


def layer_kind(kind: str) -> str:
    """Return the kind of document that stores layers of ``kind`` (os, app or platform)."""
    return f"{kind}_layer"


def layer_label(kind: str) -> str:
    """Return how messages name a kind of layer, such as ``OS layer``."""
    return _LAYER_LABELS[kind]


LAYER_KINDS = {layer_kind(kind): kind for kind in KINDS}
