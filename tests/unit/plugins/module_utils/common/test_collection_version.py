# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version that modules report is that of the collection."""

from __future__ import annotations

import pathlib

import yaml

from ansible_collections.strata.layering.plugins.module_utils.common.collection_version import VERSION

_ROOT = pathlib.Path(__file__).resolve().parents[5]


def test_version_is_that_of_galaxy_yml():
    assert VERSION == yaml.safe_load((_ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
