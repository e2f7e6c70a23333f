# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that group policies of a domain made: Windows keeps the policies in its data store of Group Policy.

Settings of local policies are taken. A domain that keeps no copy of its policies (Windows Server by default) leaves no
trace of where a setting comes from, so that its settings are taken.

Source: MS-GPREG, "Registry Policy Message Syntax": the file Registry.pol has entries ``[key;value;type;size;data]``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ...ntfs.node import Node
from ..rule import Rule
from .compared import Compared
from .machine import DOMAIN_MEMBERSHIP

_STORE = "Windows/System32/GroupPolicy/DataStore"
_LOCAL = "Windows/System32/GroupPolicy/Machine/Registry.pol"
_SIGNATURE = b"PReg\x01\0\0\0"
_MAX_SIZE = 16 << 20
_MAX_FILES = 1000
_MAX_DEPTH = 12
_MAX_ENTRIES = 20_000
#: Patterns of keys have limits; a key with more names or characters is not one of Windows.
_MAX_NAMES, _MAX_KEY = 50, 4000
#: Entries that delete the value after this prefix.
_DELETED = "**del."


def find_policies(compared: Compared) -> list[Rule]:
    """Return the rules that leave out the values that policies of the domain set or delete."""
    volume = compared.after.volume
    store = volume.find(_STORE)
    if store is None:
        return []
    with store:
        found = {entry for data in _files(store, 0, [_MAX_FILES]) for entry in read_policy(data)}
    local = volume.find(_LOCAL)
    if local is not None:
        with local:
            found -= set(read_policy(_content(local)))
    return [
        Rule(key, DOMAIN_MEMBERSHIP.name, True, value, database=DOMAIN_MEMBERSHIP.name, literal=True)
        for key, value in sorted(found)[:_MAX_ENTRIES]
    ]


def _files(folder: Node, depth: int, budget: list[int]) -> Iterator[bytes]:
    """Yield the content of the policies for computers below the folder."""
    if not folder.is_directory or depth > _MAX_DEPTH:
        return
    is_machine = (folder.name or "").lower() == "machine"
    for child in folder.children():
        if budget[0] <= 0:
            return
        if child.is_directory or is_machine and child.name.lower() == "registry.pol":
            budget[0] -= 1
            with folder.open_child(child.reference, child.name) as node:
                if child.is_directory:
                    yield from _files(node, depth + 1, budget)
                else:
                    yield _content(node)


def _content(node: Node) -> bytes:
    return node.read() if not node.is_directory and node.size <= _MAX_SIZE else b""


def read_policy(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key with its hive first, value) of each entry of a policy; nothing after an entry that is not valid."""
    position = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while position + 2 <= len(data):
        key, position = _text(data, position + 2)
        name, position = _text(data, position + 2)
        if key is None or name is None or position + 14 > len(data):
            return
        (size,) = struct.unpack_from("<I", data, position + 8)
        position += 14 + size + 2
        names = [part for part in key.split("\\") if part]
        if name.lower().startswith(_DELETED):
            name = name[len(_DELETED) :]
        if len(names) > _MAX_NAMES or len(key) > _MAX_KEY or name.startswith("**"):
            continue
        if names and names[0].upper() in ("SOFTWARE", "SYSTEM"):
            yield "\\".join((names[0].upper(), *names[1:])), name


def _text(data: bytes, position: int) -> tuple[str | None, int]:
    """Return the text that ends with a NUL character, and the position of the separator behind it."""
    for end in range(position, len(data) - 1, 2):
        if data[end : end + 2] == b"\0\0":
            return data[position:end].decode("utf-16-le", "replace"), end + 2
    return None, len(data)
