# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what Windows wrote in one start with what it wrote in another: names and texts that differ only in generated parts.

Windows generates GUIDs, hexadecimal numbers, counters and times. The *shape* of a name or text has a placeholder instead
of each of them. Which parts are generated is knowledge of names that Windows uses, without a source that defines it.
"""

from __future__ import annotations

import re

from ...winregistry.upcase import WINDOWS

_GUID = r"\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?"
#: In names, short numbers count as part of the name: "App 2" is another folder than "App 1".
_IN_NAMES = re.compile(rf"{_GUID}|(?<![0-9A-Za-z])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{{8,}}(?![0-9A-Za-z])|[0-9]{{4,}}")
#: A version, but not a date: other versions are changes, also of the paths of programs in folders that are named after a version.
_VERSION = (
    r"(?P<version>(?<![0-9A-Za-z.])(?!(?:0?[1-9]|[12][0-9]|3[01])\.(?:0?[1-9]|1[0-2])\.(?:19|20)[0-9]{2}(?![0-9.]))"
    r"[0-9]+(?:\.[0-9]+){2,})"
)
_IN_TEXTS = re.compile(rf"{_GUID}|{_VERSION}|(?<![0-9A-Za-z])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{{8,}}(?![0-9A-Za-z])|[0-9]+")
#: A text that is only a short number is a setting, not a time or an identifier.
_SHORT_NUMBER = re.compile(r"\s*-?[0-9]{1,4}\s*")
_PLACEHOLDER = "\x01"
#: Longer texts are compared as they are.
_LONGEST_TEXT = 1 << 18

#: Extensions of files that Windows and installers write as a whole: programs, drivers, packages, scripts, fonts, icons, links.
#: Windows does not change one of these by itself to a content that it did not also write in the noise profile.
_SETTLED = frozenset(
    "exe dll sys ocx cpl drv scr com efi mui ax tlb msi msp mst msix appx cab cat inf manifest mum mof mfl admx adml ps1 psm1 psd1 cmd "
    "bat vbs js wsf jar py ttf otf ttc fon fnt ico cur lnk url chm hlp nls xsd xsl xslt rtf pdf htm html css png jpg jpeg gif svg".split()
)
#: Extensions of settings: text that differs in more than numbers and GUIDs is a change of the settings.
_SETTINGS = frozenset("ini xml json config conf cfg yaml yml toml properties reg txt policy pol theme job sif".split())


def shape_of_name(name: str) -> str | None:
    """Return the shape of a name, folded, or None if no part of it is generated."""
    shape, count = _IN_NAMES.subn(_PLACEHOLDER, name)
    return WINDOWS.fold(shape) if count else None


def shape_of_path(path: str) -> str | None:
    """Return the shape of a path with "/" between names, or None if no part of it is generated."""
    names = [(name, shape_of_name(name)) for name in path.split("/")]
    if all(shape is None for _name, shape in names):
        return None
    return "/".join(WINDOWS.fold(name) if shape is None else shape for name, shape in names)


def is_alike(first: str, second: str) -> bool:
    """Return whether two texts are equal except for numbers and GUIDs. A short number alone and a version are equal only to themselves."""
    if first == second:
        return True
    if (
        max(len(first), len(second)) > _LONGEST_TEXT
        or _SHORT_NUMBER.fullmatch(first)
        or _SHORT_NUMBER.fullmatch(second)
    ):
        return False
    return shape_of_text(first) == shape_of_text(second)


def shape_of_text(text: str) -> str:
    """Return the shape of a text; versions belong to it."""
    return _IN_TEXTS.sub(lambda found: found["version"] or _PLACEHOLDER, text)


def is_settled(path: str, start: bytes) -> bool:
    """Return whether a file has content that does not vary by itself: a program, by name or by its first bytes."""
    return start[:2] == b"MZ" or _extension(path) in _SETTLED


def is_settings(path: str) -> bool:
    """Return whether the name of a file is that of settings in text form."""
    return _extension(path) in _SETTINGS


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""
