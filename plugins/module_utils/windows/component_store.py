# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognize the components of Windows in the component store (WinSxS).

The folder of a component is named ``<architecture>_<name>_<public key token>_<version>_<language>_<hash>``. Files of
Windows have one of a few tokens; assemblies of other publishers, such as the runtimes of Visual C++, have other tokens.
"""

from __future__ import annotations

from ..ntfs.file_names import DOS
from ..ntfs.node import Node
from ..ntfs.volume import Volume

#: Public key tokens of Windows: its components, its assemblies for all programs (common controls, GDI+), and the .NET
#: Framework, which is a part of Windows. The last two tokens are knowledge without a source.
TOKENS = ("31bf3856ad364e35", "6595b64144ccf1df", "b03f5f7f11d50a3a", "b77a5c561934e089")
_STORE = "windows/winsxs/"
#: Folders between a file and the folder of its component.
_MAX_DEPTH = 8


def is_component_name(name: str) -> bool:
    """Return whether a file or folder below WinSxS belongs to a component of Windows, by its name."""
    lowered = name.lower()
    return any(f"_{token}_" in lowered for token in TOKENS)


def is_component_path(path: str) -> bool:
    """Return whether a path ("/" between names) belongs to a component of Windows: its folder, manifest, backup or files."""
    return path[: len(_STORE)].lower() == _STORE and any(map(is_component_name, path[len(_STORE) :].split("/")))


def is_serviced(volume: Volume, node: Node) -> bool:
    """Return whether servicing owns an open file: one of its names is in the folder of a component."""
    store = volume.find(_STORE.rstrip("/"))
    if store is None:
        return False
    with store:
        reference = store.file_reference
    return any(name.namespace != DOS and _is_in_component(volume, name.parent, reference) for name in node.file_names)


def _is_in_component(volume: Volume, folder: int, store: int) -> bool:
    for _depth in range(_MAX_DEPTH):
        with volume.open(folder) as node:
            names = [name for name in node.file_names if name.namespace != DOS]
        if not names or names[0].parent == folder:
            return False
        if is_component_name(names[0].name) and names[0].parent == store:
            return True
        folder = names[0].parent
    return False
