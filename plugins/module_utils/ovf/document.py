# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML documents from elsewhere, read with every dangerous feature refused.

A document type declaration, and with it every internal or external entity, is refused
before anything in it is looked at; size, depth and number of elements are bounded.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.parsers import expat

from ..common.errors import Corrupt

MAXIMUM_BYTES = 8 << 20
MAXIMUM_DEPTH = 64
MAXIMUM_ELEMENTS = 50_000


def parse_xml(data: bytes, what: str) -> ElementTree.Element:
    """Return the root element of ``data``; names are ``{namespace}local`` as ElementTree has them.

    ``what`` names the document in errors. Raises Corrupt for anything that is not a plain,
    reasonably small, well-formed document.
    """
    if len(data) > MAXIMUM_BYTES:
        raise Corrupt(
            f"{what} is larger than {MAXIMUM_BYTES >> 20} MiB.",
            code="ovf.too_large",
            hint="An OVF descriptor has some kilobytes: check that this is one.",
        )
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = elements = 0

    def name(qualified: str) -> str:
        return "{" + qualified if "}" in qualified else qualified

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > MAXIMUM_DEPTH or elements > MAXIMUM_ELEMENTS:
            raise Corrupt(
                f"{what} has too many or too deeply nested elements.",
                code="ovf.too_large",
                hint="Export the OVF again.",
            )
        builder.start(name(tag), {name(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name(tag))

    def refuse(*unused) -> None:
        raise Corrupt(
            f"{what} has a document type declaration, which is not accepted.",
            code="ovf.doctype",
            hint="Remove the DOCTYPE; vSphere never writes one.",
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Corrupt(
            f"{what} is not well-formed XML: {error}.", code="ovf.not_xml", hint="Export the OVF again."
        ) from error


def local_name(qualified: str) -> str:
    """The part of a ``{namespace}local`` name after the namespace."""
    return qualified.rpartition("}")[2]


def namespace(qualified: str) -> str:
    """The namespace of a ``{namespace}local`` name, or an empty string."""
    return qualified[1:].partition("}")[0] if qualified.startswith("{") else ""
