# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which registry settings several programs share, and how changes of several layers to one of them are joined.

The data below and the option that extends it have the same form: dictionaries with

hive
    The hive's name (see ``registry.hives``), or several.
key
    A pattern of keys below the hive's root, as in ``registry.patterns``.
value
    A pattern of value names; ``*`` and ``?`` as there, "" is the default value.
kind
    ``separated`` (a text of items with ``separator`` between them), ``multi_string`` (REG_MULTI_SZ),
    ``counter`` (a number of which each layer adds or takes), ``dropped`` (never taken from a layer), ``manual``
    (cannot be joined: the last layer wins, and the report says what to do).
separator
    The characters that part the items of a ``separated`` text; the first is written.
advice
    What to do, for ``manual`` and ``dropped``.

The rule that stands first wins. Sources: Microsoft's documentation of the settings; WinSxS component
manifests, which mark lists with operationHint="append"; what installers were seen to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..common.errors import InvalidInput
from . import upcase
from .hive_names import HIVES
from .key_patterns import PatternState, PatternTree, name_matcher

SEPARATED = "separated"
MULTI_STRING = "multi_string"
COUNTER = "counter"
DROPPED = "dropped"
MANUAL = "manual"
KINDS = (SEPARATED, MULTI_STRING, COUNTER, DROPPED, MANUAL)

_HIVES = frozenset(name.upper() for name in HIVES)

_CONTROL = "ControlSet*\\Control\\"
_SERVICES = "ControlSet*\\Services\\"
_NT = "Microsoft\\Windows NT\\CurrentVersion\\"
_WOW = "Wow6432Node\\"
_PERFLIB = 'Let "lodctr /R" run once in the image: it numbers the performance counters of all layers anew.'
_WINSOCK = (
    "Install the programs that extend Winsock in one layer, or let their installer's repair run once in the image."
)


def _rules(
    hive: str | tuple[str, ...],
    key: str,
    values: str | tuple[str, ...],
    kind: str,
    separator: str = "",
    advice: str = "",
) -> list[dict]:
    return [
        {"hive": hive, "key": key, "value": value, "kind": kind, "separator": separator, "advice": advice}
        for value in ((values,) if isinstance(values, str) else values)
    ]


RULES: tuple[dict, ...] = tuple(
    # Lists in a text
    _rules(
        "SYSTEM",
        _CONTROL + "Session Manager\\Environment",
        ("Path", "PATHEXT", "PSModulePath", "LIB", "INCLUDE", "CLASSPATH"),
        SEPARATED,
        ";",
    )
    + _rules(("NTUSER.DAT", "DEFAULT"), "Environment", ("Path", "PATHEXT", "PSModulePath"), SEPARATED, ";")
    + _rules("SYSTEM", _CONTROL + "NetworkProvider\\*Order", "ProviderOrder", SEPARATED, ",")
    + _rules("SYSTEM", _CONTROL + "SecurityProviders", "SecurityProviders", SEPARATED, ",")
    + _rules("SOFTWARE", _NT + "Winlogon", ("Userinit", "VmApplet"), SEPARATED, ",")
    + _rules("SOFTWARE", _NT + "Windows", "AppInit_DLLs", SEPARATED, " ,")
    + _rules("SOFTWARE", _WOW + _NT + "Windows", "AppInit_DLLs", SEPARATED, " ,")
    # Ordered lists of texts
    + _rules("SYSTEM", _CONTROL + "Class\\{*}", ("UpperFilters", "LowerFilters"), MULTI_STRING)
    + _rules("SYSTEM", "ControlSet*\\Enum\\**", ("UpperFilters", "LowerFilters"), MULTI_STRING)
    + _rules(
        "SYSTEM",
        _CONTROL + "Lsa",
        ("Authentication Packages", "Notification Packages", "Security Packages"),
        MULTI_STRING,
    )
    + _rules("SYSTEM", _CONTROL + "Lsa\\OSConfig", "Security Packages", MULTI_STRING)
    + _rules("SOFTWARE", _NT + "Svchost", "*", MULTI_STRING)
    + _rules("SOFTWARE", _WOW + _NT + "Svchost", "*", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "ServiceGroupOrder", "List", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL.rstrip("\\"), ("PreshutdownOrder", "EarlyStartServices"), MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Print\\Providers", "Order", MULTI_STRING)
    + _rules(
        "SYSTEM",
        _CONTROL + "Session Manager",
        ("BootExecute", "SetupExecute", "ObjectDirectories", "BootShell"),
        MULTI_STRING,
    )
    + _rules("SYSTEM", _SERVICES + "LanmanServer\\Parameters", ("NullSessionPipes", "NullSessionShares"), MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "*", ("DependOnService", "DependOnGroup", "RequiredPrivileges"), MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "*\\Linkage", ("Bind", "Export", "Route"), MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "EventLog\\*", "Sources", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Network\\**", "FilterClasses", MULTI_STRING)
    + _rules("SOFTWARE", _NT + "FontLink\\SystemLink", "*", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "SecurePipeServers\\winreg\\Allowed*Paths", "Machine", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Cryptography\\**", ("Functions", "Providers"), MULTI_STRING)
    # Numbers that count who needs something
    + _rules("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "*", COUNTER)
    + _rules("SOFTWARE", _WOW + "Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "*", COUNTER)
    # What belongs to one start of one machine
    + _rules(
        "SYSTEM",
        _CONTROL + "Session Manager",
        ("PendingFileRenameOperations", "PendingFileRenameOperations2"),
        DROPPED,
        "",
        "Restart the packaging machine before it is finalized, so that Windows does what is pending.",
    )
    # What cannot be joined by value
    + _rules("SOFTWARE", _NT + "Perflib", ("Last Counter", "Last Help"), MANUAL, "", _PERFLIB)
    + _rules("SOFTWARE", _NT + "Perflib\\*", ("Counter", "Help"), MANUAL, "", _PERFLIB)
    + _rules(
        "SYSTEM",
        _SERVICES + "*\\Performance",
        ("First Counter", "Last Counter", "First Help", "Last Help"),
        MANUAL,
        "",
        _PERFLIB,
    )
    + _rules("SYSTEM", _SERVICES + "WinSock2\\Parameters\\**", "*", MANUAL, "", _WINSOCK)
    + _rules(
        "SYSTEM",
        _CONTROL + "GroupOrderList",
        "*",
        MANUAL,
        "",
        "Check the start order of the drivers in this group: the tags of the layer that lost are not in its list.",
    )
    + _rules(
        "SYSTEM",
        "ControlSet*\\Control\\Nsi\\**",
        "*",
        MANUAL,
        "",
        "Install the network drivers in the OS layer or the platform layer.",
    )
    + _rules(
        "SYSTEM",
        _CONTROL + "Network\\{*}\\**",
        "*",
        MANUAL,
        "",
        "Install the network drivers in the OS layer or the platform layer.",
    )
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one setting is joined; the fields are those of the dictionaries, see above."""

    kind: str
    separator: str
    advice: str
    matches: Callable[[str], object]


class Rules:
    """The rules for all hives, compiled. ``start`` and ``advance`` follow keys from the root down, ``rule`` judges a value there."""

    def __init__(self, trees: Mapping[str, PatternTree[Rule]]) -> None:
        self._trees = trees

    def tree(self, hive: str) -> PatternTree[Rule] | None:
        """The patterns for the hive ``hive``; None where there are none."""
        return self._trees.get(hive.upper())

    def find(self, hive: str, key: str, value: str) -> Rule | None:
        """The rule for one value; None where the last layer simply wins."""
        tree = self.tree(hive)
        if tree is None:
            return None
        folded = upcase.WINDOWS.fold(value)
        return next((rule for rule in tree.find(key) if rule.matches(folded)), None)


def rule_at(tree: PatternTree[Rule] | None, state: PatternState, folded_name: str) -> Rule | None:
    """The rule for the value ``folded_name`` of the key with ``state`` in ``tree``."""
    if not state:
        return None
    return next((rule for rule in tree.payloads(state) if rule.matches(folded_name)), None)


def compile_rules(extra: Sequence[Mapping] = (), *, builtin: Iterable[Mapping] = RULES) -> Rules:
    """Compile ``extra``, which goes before, and the built-in rules. Raises InvalidInput naming the entry that is none."""
    trees: dict[str, PatternTree[Rule]] = {}
    for number, entry in enumerate([*extra, *builtin], 1):
        for hive, key, rule in _checked(entry, number):
            trees.setdefault(hive, PatternTree()).add(key, rule)
    return Rules(trees)


def _checked(entry: Mapping, number: int) -> list[tuple[str, str, Rule]]:
    if not isinstance(entry, Mapping):
        raise _invalid(number, "is not a dictionary")
    unknown = set(entry) - {"hive", "key", "value", "kind", "separator", "advice"}
    if unknown:
        raise _invalid(number, f"has the unknown field {sorted(map(str, unknown))[0]}")
    hives = entry.get("hive")
    hives = [hives] if isinstance(hives, str) else hives
    if not isinstance(hives, (list, tuple)) or not hives or not all(isinstance(hive, str) and hive for hive in hives):
        raise _invalid(number, "names no hive")
    strange = next((hive for hive in hives if hive.upper() not in _HIVES), None)
    if strange is not None:
        raise _invalid(number, f"names the hive {strange[:80]!r}; {', '.join(HIVES)} exist")
    texts = {}
    for field, default in (("key", None), ("value", None), ("kind", None), ("separator", ""), ("advice", "")):
        text = entry.get(field, default)
        text = default if text is None else text
        if not isinstance(text, str):
            raise _invalid(number, f"has no text as {field}" if text is not None else f"lacks the field {field}")
        texts[field] = text
    if texts["kind"] not in KINDS:
        raise _invalid(number, f"has the kind {texts['kind']!r}; {', '.join(KINDS)} exist")
    if (texts["kind"] == SEPARATED) != bool(texts["separator"]):
        raise _invalid(
            number,
            "needs a separator"
            if texts["kind"] == SEPARATED
            else "has a separator although its items are not parted by one",
        )
    if '"' in texts["separator"] or "\0" in texts["separator"]:
        raise _invalid(number, "has a separator that cannot part items")
    if len(texts["value"]) > 16383:
        raise _invalid(number, "has a value pattern that is longer than any value's name")
    try:
        PatternTree().add(texts["key"], None)
    except InvalidInput as error:
        raise _invalid(number, f"has a key that is no pattern: {texts['key'][:200]!r}") from error
    first = texts["key"].partition("\\")[0].upper()
    if first == "CURRENTCONTROLSET" or first.startswith("HKEY_") or first in ("HKLM", "HKCU", "HKCR", "HKU"):
        # Such a rule would never apply.
        raise _invalid(
            number,
            f"has a key that begins with {first}, which no hive does; write it from below the hive's root, and ControlSet* for control sets",
        )
    rule = Rule(texts["kind"], texts["separator"], texts["advice"], name_matcher(texts["value"]))
    return [(hive.upper(), texts["key"], rule) for hive in hives]


def _invalid(number: int, what: str) -> InvalidInput:
    return InvalidInput(
        f"The registry rule number {number} {what}.",
        code="winregistry.rules",
        hint="A rule has hive, key, value, kind, and for the kind separated a separator; docs/registry-deltas.md describes them.",
    )
