# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that a run makes: read from the simulator's journal and sorted into kinds of calls that fail in the same way.

Every call that changes something, moves a disk, or begins or ends a session is its own kind. Calls that read are
distinguished by their method and by the last change before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: Methods that change nothing in vCenter except the session's own objects.
_READS = frozenset(
    (
        "ContinueRetrievePropertiesEx",
        "CreateContainerView",
        "CreateDescriptor",
        "CreateFilter",
        "CreateImportSpec",
        "CreatePropertyCollector",
        "DestroyPropertyCollector",
        "DestroyView",
        "FindAllByUuid",
        "FindByUuid",
        "HasUserPrivilegeOnEntities",
        "HttpNfcLeaseGetManifest",
        "HttpNfcLeaseProgress",
        "QueryConfigOptionDescriptor",
        "QueryConfigOptionEx",
        "QueryEvents",
        "RetrieveEntityPermissions",
        "RetrievePropertiesEx",
        "RetrieveServiceContent",
        "WaitForUpdatesEx",
    )
)
#: Called by a timer. Only calls during a transfer count.
_KEEP_ALIVE = "HttpNfcLeaseProgress"


@dataclass(frozen=True)
class Call:
    """A kind of call.

    ``after`` is the change before it and how many times that method had been called, None at the start of the run.
    ``skip`` is the number of earlier calls of the same kind. ``first``: no earlier kind has the same method.
    """

    method: str
    after: tuple[str, int] | None
    skip: int
    first: bool

    @property
    def changes(self) -> bool:
        """Return whether the call changes something."""
        return self.method not in _READS

    @property
    def name(self) -> str:
        """Return the name of the row in the table."""
        if self.changes:
            return f"{_plain(self.method)} {self.skip + 1}" if self.skip else _plain(self.method)
        if self.after is None:
            return _plain(self.method)
        method, count = self.after
        return f"{_plain(self.method)} after {_plain(method)}{f' {count}' if count > 1 else ''}"

    @property
    def rule(self) -> dict:
        """Return the fields of a fault rule that matches the call."""
        if self.changes or self.after is None:
            return {"method": self.method, "skip": self.skip}
        return {"method": self.method, "since": self.after[0], "since_calls": self.after[1]}


def kinds(journal: Sequence[dict]) -> list[Call]:
    """Return the kinds of calls in a journal, in order."""
    found: dict[tuple, Call] = {}
    counts: Counter[str] = Counter()
    after: tuple[str, int] | None = None
    for entry in journal:
        method = entry["method"]
        if entry["kind"] not in ("soap", "nfc"):
            continue
        if method == _KEEP_ALIVE and not (after and after[0].startswith("NFC:")):
            continue
        first = not any(call.method == method for call in found.values())
        if method in _READS:
            found.setdefault((method, after), Call(method, after, 0, first))
            continue
        found[method, counts[method]] = Call(method, after, counts[method], first)
        counts[method] += 1
        after = (method, counts[method])
    return list(found.values())


def reads(journal: Sequence[dict]) -> dict[str, int]:
    """Return how many times each method that only reads was called."""
    return dict(Counter(entry["method"] for entry in journal if entry["kind"] == "soap" and entry["method"] in _READS))


def _plain(method: str) -> str:
    return method.removesuffix("_Task")
