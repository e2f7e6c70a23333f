# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of registry values that only the tests write, and the content of trees of keys."""

from __future__ import annotations

from ...plugins.module_utils.winregistry.hive_model import Key


def encode_dword(number: int) -> bytes:
    """Return the data of a REG_DWORD."""
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def encode_qword(number: int) -> bytes:
    """Return the data of a REG_QWORD."""
    return (number & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")


def hive_content(root: Key) -> dict:
    """Return the content of a tree of keys, by path. The order of values counts, that of keys does not."""
    return {
        path: (
            key.flags,
            key.last_written,
            key.access,
            key.control,
            key.class_data,
            key.security,
            key.predefined_handle,
            [(value.name, value.type, value.data, value.wide, value.tombstone) for value in key.values.values()],
        )
        for path, key in root.walk()
    }
