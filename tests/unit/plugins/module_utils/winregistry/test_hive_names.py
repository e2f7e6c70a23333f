# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_names import (
    HIVES,
    hive_of_archive_name,
)


def test_hive_of_archive_name():
    assert hive_of_archive_name("Hives/SYSTEM_DELTA") == (HIVES["SYSTEM"], True)
    assert hive_of_archive_name("Hives/DefaultUser_Delta") == (HIVES["DEFAULT"], True)
    assert hive_of_archive_name("Hives/NTUSER.DAT.strata-delta") == (HIVES["NTUSER.DAT"], False)
    assert hive_of_archive_name("Hives/SAM_Delta") is None
    assert all(hive_of_archive_name(hive.delta) == (hive, False) for hive in HIVES.values())
