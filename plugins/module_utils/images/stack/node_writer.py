# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create files and folders on a volume with the metadata of layer entries."""

from __future__ import annotations

from collections.abc import Callable

from ...common.errors import Conflict, Corrupt, InvalidInput, NoSpace, StrataError
from ...common.security_descriptors import complete
from ...layers.entry import DIRECTORY, Entry, printable
from ...layers.extended_attributes import without_kernel_eas
from ...ntfs import attribute_records
from ...ntfs.file_security import inherit
from ...ntfs.node import Node
from ...ntfs.times import Times
from .stack_merge import is_leaf

#: Errors of the volume that an entry of a layer causes.
ENTRY_ERRORS = (Conflict, InvalidInput, NoSpace)


class NodeWriter:
    """Creates and describes nodes; ``drop`` records metadata that another file of the volume has."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        self._drop = drop
        self._inherited: dict[tuple[bytes, bool], bytes] = {}

    def create_directory(self, parent: Node, name: str, entry: Entry, short_name: str | None) -> Node:
        """Create a folder with its common metadata."""
        return parent.create_directory(
            name,
            short_name=short_name,
            attributes=attributes_of(entry),
            times=times_of(entry, parent),
            security=self._security(entry, parent),
            allow_trailing=True,
        )

    def create_file(self, parent: Node, name: str, entry: Entry, short_name: str | None, data: bytes) -> Node:
        """Create a file with its common metadata and ``data`` in its unnamed stream."""
        return parent.create_file(
            name,
            data=data,
            short_name=short_name,
            attributes=attributes_of(entry),
            times=times_of(entry, parent),
            security=self._security(entry, parent),
            allow_trailing=True,
        )

    def describe(self, node: Node, entry: Entry, short_name: str | None) -> None:
        """Set the metadata of an entry on an existing folder."""
        if entry.security is not None:
            node.set_security(complete(entry.security))
        node.set_attributes(attributes_of(entry))
        if short_name is not None:
            node.set_short_name(short_name)
        self.describe_rare(node, entry)
        node.set_times(times_of(entry, node))

    def describe_rare(self, node: Node, entry: Entry) -> None:
        """Set the metadata that few files have: reparse point of a folder, extended attributes, object ID."""
        if entry.reparse is not None and not is_leaf(entry):
            node.set_reparse(entry.reparse)
        eas = without_kernel_eas(entry.eas)
        if eas is not None:
            node.set_eas(eas)
        if entry.object_id is not None:
            try:
                node.set_object_id(entry.object_id)
            except Conflict:
                self._drop(f"object ID of {printable(entry.path)}")

    def _security(self, entry: Entry, parent: Node) -> bytes:
        if entry.security is not None:
            return complete(entry.security)
        is_directory = entry.kind == DIRECTORY
        parent_security = parent.security
        if parent_security is None:
            raise Corrupt(
                f"The folder of {printable(entry.path)} on the volume has no security descriptor.",
                code="images.folder_without_security",
                hint="Run chkdsk on the OS machine and import the OS layer again.",
                path=entry.path,
            )
        key = (parent_security, is_directory)
        inherited = self._inherited.get(key)
        if inherited is None:
            inherited = self._inherited[key] = inherit(parent_security, is_directory)
        return inherited


def name_entry(error: StrataError, path: str, label: str) -> None:
    """Add the path and the layer of an entry to an error of the volume, which names only the metadata or the volume."""
    if "path" not in error.details:
        error.message = f"{error.message.removesuffix('.')} ({printable(path)} of {label})."
        error.details |= {"path": path, "layer": label}


def attributes_of(entry: Entry) -> int:
    """Return the attributes of an entry; layers of earlier releases may have extended attributes that are not written."""
    written = entry.eas is None or without_kernel_eas(entry.eas) is not None
    return entry.attributes if written else entry.attributes & ~attribute_records.HAS_EAS


def times_of(entry: Entry, fallback: Node) -> Times:
    """Return the four times of an entry; a missing time is its time of writing, or that of ``fallback``."""
    written = entry.written if entry.written is not None else entry.created
    if written is None:
        written = fallback.times.written
    return Times(
        *(written if time is None else time for time in (entry.created, written, entry.accessed, entry.changed))
    )
