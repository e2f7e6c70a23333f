# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read XML documents from untrusted sources.

A document type declaration, and with it every internal or external entity, is refused before its content is
processed. The size, the depth and the number of elements are limited.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from ..common.errors import Corrupt

MAXIMUM_BYTES = 8 << 20
MAXIMUM_DEPTH = 64
MAXIMUM_ELEMENTS = 50_000


def parse_xml(data: bytes, subject: str) -> ElementTree.Element:
    """Return the root element of ``data``; names are ``{namespace}local``, as in ElementTree.

    ``subject`` is the document's name at the start of error messages.

    Raises:
        Corrupt: ``ovf.not_xml`` if the document is not well-formed; ``ovf.doctype`` if it has a document type
            declaration; ``ovf.too_large`` if it exceeds MAXIMUM_BYTES, MAXIMUM_DEPTH or MAXIMUM_ELEMENTS.
    """
    if len(data) > MAXIMUM_BYTES:
        raise Corrupt(
            f"{subject} has more than {MAXIMUM_BYTES >> 20} MiB, the limit for a descriptor.",
            code="ovf.too_large",
            hint="Check that the file is an OVF descriptor: it usually has a few KiB.",
        )
    target = _Target(subject)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = target.start
    parser.EndElementHandler = target.end
    parser.CharacterDataHandler = target.data
    parser.StartDoctypeDeclHandler = target.refuse
    parser.EntityDeclHandler = target.refuse
    try:
        parser.Parse(data, True)
        return target.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Corrupt(
            f"{subject} is not well-formed XML: {error}.",
            code="ovf.not_xml",
            hint="Export the virtual machine again.",
        ) from error


class _Target:
    """The handlers of the parser: they build the tree and enforce the limits."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._builder = ElementTree.TreeBuilder()
        self._depth = self._elements = 0
        self.data = self._builder.data
        self.close = self._builder.close

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAXIMUM_DEPTH or self._elements > MAXIMUM_ELEMENTS:
            raise Corrupt(
                f"{self._subject} has more than {MAXIMUM_ELEMENTS} elements or {MAXIMUM_DEPTH} levels of elements.",
                code="ovf.too_large",
                hint="Export the virtual machine again.",
            )
        self._builder.start(_qualified(tag), {_qualified(key): value for key, value in attributes.items()})

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(_qualified(tag))

    def refuse(self, *_arguments: object) -> None:
        raise Corrupt(
            f"{self._subject} has a document type declaration (DOCTYPE), which is not supported.",
            code="ovf.doctype",
            hint="Remove the DOCTYPE, or export the virtual machine again from vSphere, which does not write it.",
        )


def _qualified(name: str) -> str:
    """Return a name of expat, ``namespace}local``, in the form of ElementTree."""
    return "{" + name if "}" in name else name


def local_name(qualified: str) -> str:
    """Return the local part of a ``{namespace}local`` name."""
    return qualified.rpartition("}")[2]


def namespace(qualified: str) -> str:
    """Return the namespace of a ``{namespace}local`` name, or an empty string."""
    return qualified[1:].partition("}")[0] if qualified.startswith("{") else ""
