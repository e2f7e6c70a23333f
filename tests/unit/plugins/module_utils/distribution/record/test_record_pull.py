# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that a composer pulls from another site go to its registry of record, too."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support import small_layers
from ansible_collections.strata.layering.tests.support.composers import Composer
from ansible_collections.strata.layering.tests.support.shared_registry import SharedRegistry

from ..two_sites import filled, folder_remote, pull, push


def test_blobs_of_pulled_layers_are_sent_before_the_claim(tmp_path):
    registry = SharedRegistry()
    composer = Composer(str(tmp_path / "composer"), registry)
    small_layers.add_connector(composer.repository)
    remote = folder_remote(tmp_path / "remote")
    push(filled(tmp_path / "home"), remote)
    registry.requests.clear()
    pull(composer.repository, remote)
    requests = [request[:2] for request in registry.requests]
    claims = [number for number, request in enumerate(requests) if request == ("put_manifest", "windows/catalog")]
    assert requests.index(("upload", "windows/os/windows-11")) < claims[0]
    second = Composer(str(tmp_path / "second"), registry)
    second.sync()
    assert {kind: sorted(found) for kind, found in second.documents().items()} == {
        "os_layer": ["Windows 11"],
        "app_layer": ["Editor"],
        "platform_layer": [],
        "image_template": ["office"],
    }


def test_layers_from_before_the_registry_are_sent_before_the_claim(tmp_path):
    registry = SharedRegistry()
    filled(tmp_path / "composer")
    composer = Composer(str(tmp_path / "composer"), registry)
    small_layers.describe_layer(composer.repository, "os", "Windows 11", "for all")
    requests = [request[:2] for request in registry.requests]
    claims = [number for number, request in enumerate(requests) if request == ("put_manifest", "windows/catalog")]
    assert requests.index(("upload", "windows/os/windows-11")) < claims[0]
