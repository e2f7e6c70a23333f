# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Replace the names of a site in texts, so that a report can be published.

A name gets a placeholder such as ``host-1``, which is the same wherever the name occurs. Known names are replaced in
every form in which messages write them. Addresses, host names, users, identifiers and thumbprints are also replaced
where they are not known, by their form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..vsphere.inventory.names import escaped_name, path_name, plain_name

#: Folders that every vCenter has; their names say nothing about a site.
_COMMON = frozenset(("Datacenters", "Resources", "vm", "host", "network", "datastore"))
#: A name with fewer characters is replaced only where no letter or digit is next to it.
_SHORT = 5
#: A long message may have been shortened within a name, at its end or before the name of a fault. A shorter beginning is not replaced.
_LONG, _BEGINNING = 200, 4
_SHORTENED = re.compile(r"(?= \(\w+\))")
#: The collection's own names, which can contain the name of a user or an object.
_OWN = r"strata\.layering(?:\.\w+)*(?![\w-])|strata-selftest(?:-[0-9a-f]{8})?(?![\w-])"
#: The first part of dotted texts that are not host names: privileges, properties, types and modules.
_DOTTED = (
    "alarm authorization bios config cryptographer cryptosessions datacenter datastore dvportgroup dvswitch ethernet extension"
    " firmware folder global guest guestinfo host hostprofile inventoryservice isolation mks monitor network numa object"
    " pcipassthru permissions profile python resource"
    " runtime sched scsi sessions storageprofile storagepod strata summary svga system task tools vapp vim virtualmachine vmodl vmware"
).split()
_FORMS: tuple[tuple[str, str], ...] = (
    ("thumbprint", r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){15,}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])"),
    ("mac", r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])"),
    ("uuid", r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"),
    ("address", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)"),
    ("address", r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%\w+)?(?![\w:])"),
    ("user", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*"),
    ("server", r"(?<=://)[^\s/:'\"<>]+"),
    (
        "server",
        r"(?<=\bhost )[^\s'\"<>]+(?= \(port \d)|(?<=\bvCenter )[^\s'\"<>]+(?= \(port \d)|(?<=\bproxy )[^\s'\"<>]+(?= \(port \d)",
    ),
    ("server", r"(?<![\w.@-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+){1,}\.[A-Za-z]{2,}(?![\w-])"),
    (
        "object",
        r"(?<![\w-])(?:vm|host|datastore|network|dvportgroup|dvs|resgroup|domain-[cs]|group-[a-z]\d*|datacenter|snapshot|task)-\d+(?![\w-])",
    ),
    ("path", r"(?<![\w/])/(?:home|root|Users|tmp|var|runner|mnt|srv|opt)/[^\s'\"<>]*"),
)


class Redactor:
    """Knows the names of a site. Names are compared without regard to case."""

    def __init__(self) -> None:
        #: By case-folded form of a name: the forms that have occurred, and the placeholder.
        self._names: dict[str, tuple[set[str], str]] = {}
        self._objects: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, name: str | None, *aliases: str | None) -> str:
        """Register an object of a kind such as ``datastore``; return its placeholder, empty without a name.

        An object that is added again keeps its placeholder. ``aliases`` are further names of the same object.
        """
        if not name:
            return ""
        key = (kind, name.casefold())
        placeholder = self._objects.get(key)
        if placeholder is None:
            placeholder = self._objects[key] = self._new(kind)
        for text in (name, *aliases):
            self._register(text, placeholder)
        return placeholder

    def secret(self, text: str | None) -> None:
        """Register a text that is replaced without a number, such as a password."""
        self._register(text, "(secret)")

    def text(self, text: str) -> str:
        """Return a text without names. A text that this method has returned must not be passed to it again."""
        folded = text.casefold()
        forms = [form for name, (found, _placeholder) in self._names.items() if name in folded for form in found]
        forms.sort(key=len, reverse=True)
        groups = [f"(?P<own>{_OWN})"]
        if forms:
            groups.append(f"(?P<name>{'|'.join(map(_pattern, forms))})")
        groups += [f"(?P<form{number}>{pattern})" for number, (_kind, pattern) in enumerate(_FORMS)]
        text = re.sub("|".join(groups), self._replacement, text, flags=re.IGNORECASE)
        return "".join(map(self._without_beginning, _SHORTENED.split(text)))

    def value(self, value: Any) -> Any:
        """Return a JSON-compatible value without names, also in keys; other values become texts."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(item) for item in value]
        return self.text(str(value))

    def _register(self, name: str | None, placeholder: str) -> None:
        for form in _forms(name or ""):
            if form.strip() and form not in _COMMON:
                self._names.setdefault(form.casefold(), (set(), placeholder))[0].add(form)

    def _new(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}-{self._counts[kind]}"

    def _replacement(self, match: re.Match[str]) -> str:
        group = match.lastgroup or ""
        if group == "own":
            return match[0]
        if group == "name":
            return self._names.get(match[0].casefold(), (None, "(name)"))[1]
        kind = _FORMS[int(group.removeprefix("form"))][0]
        if (kind == "address" and not _is_address(match[0])) or (kind == "server" and _is_dotted(match[0])):
            return match[0]
        return self.add(kind, match[0])

    def _without_beginning(self, text: str) -> str:
        """Return a long text whose end is not the beginning of a name."""
        if len(text) < _LONG:
            return text
        folded = text.casefold()
        for name, (_forms, placeholder) in self._names.items():
            for length in range(min(len(name), len(text)) - 1, _BEGINNING - 1, -1):
                if folded.endswith(name[:length]):
                    return text[: len(text) - length] + placeholder
        return text


def _forms(name: str) -> Iterable[str]:
    """Yield a name as it is stored, displayed, part of a path, quoted by Python, and with single spaces."""
    plain = plain_name(name)
    for form in (name, plain, path_name(name), plain.replace("/", "%2F"), escaped_name(plain)):
        yield form
        yield repr(form)[1:-1]
        yield " ".join(form.split())


def _pattern(name: str) -> str:
    """Return the expression for a name, which is not a part of a longer number, nor of a word if the name is short."""
    word = r"[^\W_]"
    before, after = (r"\d" if end.isdigit() else "" for end in (name[0], name[-1]))
    if len(name) < _SHORT:
        before = after = word
    return (f"(?<!{before})" if before else "") + re.escape(name) + (f"(?!{after})" if after else "")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_dotted(text: str) -> bool:
    return text.partition(".")[0].casefold().rstrip("0123456789:") in _DOTTED
