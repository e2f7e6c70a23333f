# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry settings that several programs share, and how changes of several layers to such a setting are joined.

The data below and the option that extends it have the same form: dictionaries with

hive
    The name of a hive (see ``hive_names``), or a list of names.
key
    A pattern of keys below the hive's root, as in ``key_patterns``.
value
    A pattern of value names with ``*`` and ``?``; "" is the default value.
kind
    ``separated`` (a text of items with ``separator`` between them), ``multi_string`` (REG_MULTI_SZ),
    ``counter`` (a number that each layer increases or decreases), ``version`` (a text of numbers with periods between
    them: the highest wins), ``dropped`` (never taken from a layer), ``manual`` (cannot be joined: the last layer wins,
    and the report contains the advice).
separator
    The characters that separate the items of a ``separated`` text; the first of them is written.
advice
    The action to take, for ``manual`` and ``dropped``.

The first matching rule wins. Sources: Microsoft's documentation of the settings; WinSxS component
manifests, which mark lists with operationHint="append"; lists with items of several vendors in the SYSTEM hive that
the tests of dissect.regf contain; changes that installers were observed to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..common.errors import InvalidInput
from . import upcase
from .hive_model import MAXIMUM_VALUE_NAME
from .hive_names import HIVES
from .key_patterns import PatternState, PatternTree, name_matcher

SEPARATED = "separated"
MULTI_STRING = "multi_string"
COUNTER = "counter"
VERSION = "version"
DROPPED = "dropped"
MANUAL = "manual"
KINDS = (SEPARATED, MULTI_STRING, COUNTER, VERSION, DROPPED, MANUAL)

_HIVES = frozenset(name.upper() for name in HIVES)

_CONTROL = "ControlSet*\\Control\\"
_SERVICES = "ControlSet*\\Services\\"
_NT = "Microsoft\\Windows NT\\CurrentVersion\\"
_WOW = "Wow6432Node\\"
_WINNERS = "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners\\*"
_PERFLIB = 'Run "lodctr /R" once in the image: it renumbers the performance counters of all layers.'
_NUMBERS = (
    "If these are different devices or driver packages, capture new versions of the layers: "
    "a capture gives devices and driver packages numbers of their own."
)
_WINSOCK = "Install the programs that extend Winsock in one layer, or run the repair of their installers in the image."


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
    # Texts with lists
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
        ("BootExecute", "SetupExecute", "ObjectDirectories", "BootShell", "ExcludeFromKnownDlls"),
        MULTI_STRING,
    )
    + _rules("SYSTEM", _SERVICES + "LanmanServer\\Parameters", ("NullSessionPipes", "NullSessionShares"), MULTI_STRING)
    # "Owners" lists the driver packages that install the service.
    + _rules(
        "SYSTEM", _SERVICES + "*", ("DependOnService", "DependOnGroup", "RequiredPrivileges", "Owners"), MULTI_STRING
    )
    + _rules("SYSTEM", _SERVICES + "*\\Linkage", ("Bind", "Export", "Route"), MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "EventLog\\*", "Sources", MULTI_STRING)
    # The driver packages that own a file
    + _rules("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles\\*", "Owners", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Network\\**", "FilterClasses", MULTI_STRING)
    + _rules("SOFTWARE", _NT + "FontLink\\SystemLink", "*", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "SecurePipeServers\\winreg\\Allowed*Paths", "Machine", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Cryptography\\**", ("Functions", "Providers", "Aliases", "EccCurves"), MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "CrashControl", "DumpFilters", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "LsaExtensionConfig\\*", "Extensions", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Lsa\\AccessProviders", "ProviderOrder", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "ServiceProvider\\Order", ("ProviderOrder", "ExcludedProviders"), MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "NetworkSetup2\\Parameters", "NamedAltitudes", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "Session Manager\\kernel", "ObUnsecureGlobalNames", MULTI_STRING)
    + _rules("SYSTEM", _CONTROL + "CoDeviceInstallers", "{*}", MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "WinSock\\Parameters", "Transports", MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "Npfs\\Aliases", "*", MULTI_STRING)
    + _rules("SYSTEM", _SERVICES + "NdisImPlatform\\Parameters", "*List", MULTI_STRING)
    # WMI compiles these files again, in this order, when it repairs its repository (Microsoft Learn, "Win32_WMISetting").
    + _rules("SOFTWARE", "Microsoft\\WBEM\\CIMOM", "Autorecover MOFs", MULTI_STRING)
    # CryptRegisterDefaultOIDFunction inserts into these lists.
    + _rules("SOFTWARE", "Microsoft\\Cryptography\\OID\\EncodingType *\\*\\DEFAULT", "Dll", MULTI_STRING)
    + _rules("SOFTWARE", _WOW + "Microsoft\\Cryptography\\OID\\EncodingType *\\*\\DEFAULT", "Dll", MULTI_STRING)
    # Reference counts
    + _rules("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "*", COUNTER)
    + _rules("SOFTWARE", _WOW + "Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "*", COUNTER)
    # Versions. The key of an assembly names the newest series, the key of a series the newest version; the installed
    # versions are values of their own.
    + _rules("SOFTWARE", _WINNERS, "", VERSION)
    + _rules("SOFTWARE", _WINNERS + "\\*", "", VERSION)
    + _rules("SOFTWARE", "Microsoft\\WBEM\\CIMOM", "Autorecover MOFs timestamp", VERSION)
    # Values that apply to one start of one VM
    + _rules(
        "SYSTEM",
        _CONTROL + "Session Manager",
        ("PendingFileRenameOperations", "PendingFileRenameOperations2"),
        DROPPED,
        "",
        "Restart the packaging machine before it is finalized, so that Windows completes pending renames.",
    )
    # Values that cannot be joined
    + _rules(("SYSTEM", "DRIVERS"), "DriverDatabase\\DriverInfFiles\\oem*.inf", "Active", MANUAL, "", _NUMBERS)
    + _rules("SYSTEM", _CONTROL + "Class\\{*}\\????", ("MatchingDeviceId", "InfPath"), MANUAL, "", _NUMBERS)
    + _rules("SYSTEM", "ControlSet*\\Enum\\ROOT\\*\\*", "HardwareID", MANUAL, "", _NUMBERS)
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
        "Check the start order of the drivers in this group: its list lacks the tags of the overruled layers.",
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
    """A rule for joining a setting. The fields are those of the dictionaries, see above."""

    kind: str
    separator: str
    advice: str
    matches: Callable[[str], object]


class Rules:
    """The compiled rules for all hives."""

    def __init__(self, trees: Mapping[str, PatternTree[Rule]]) -> None:
        self._trees = trees

    def tree(self, hive: str) -> PatternTree[Rule] | None:
        """Return the patterns for the hive ``hive``; None if there are none."""
        return self._trees.get(hive.upper())

    def find(self, hive: str, key: str, value: str) -> Rule | None:
        """Return the rule for a value; None if there is none, so that the last layer wins."""
        tree = self.tree(hive)
        if tree is None:
            return None
        folded = upcase.WINDOWS.fold(value)
        return next((rule for rule in tree.find(key) if rule.matches(folded)), None)


def rule_at(tree: PatternTree[Rule] | None, state: PatternState, folded_name: str) -> Rule | None:
    """Return the rule for the value ``folded_name`` of the key with ``state`` in ``tree``."""
    if tree is None or not state:
        return None
    return next((rule for rule in tree.payloads(state) if rule.matches(folded_name)), None)


def compile_rules(extra: Sequence[Mapping] = (), *, builtin: Iterable[Mapping] = RULES) -> Rules:
    """Compile ``extra``, which takes precedence, and the built-in rules.

    Raises:
        InvalidInput: an entry is not valid; the message names it.
    """
    trees: dict[str, PatternTree[Rule]] = {}
    for number, entry in enumerate([*extra, *builtin], 1):
        for hive, key, rule in _compiled(entry, number):
            trees.setdefault(hive, PatternTree()).add(key, rule)
    return Rules(trees)


def _compiled(entry: object, number: int) -> list[tuple[str, str, Rule]]:
    """Return (hive, key pattern, rule) for each hive that the entry names."""
    if not isinstance(entry, Mapping):
        raise _invalid(number, "is not a dictionary")
    unknown = set(entry) - {"hive", "key", "value", "kind", "separator", "advice"}
    if unknown:
        raise _invalid(
            number, f"has the unknown field {sorted(map(str, unknown))[0]}", field=sorted(map(str, unknown))[0]
        )
    hives = _hives(entry.get("hive"), number)
    texts = _texts(entry, number)
    _check_kind(texts["kind"], texts["separator"], number)
    if len(texts["value"]) > MAXIMUM_VALUE_NAME:
        raise _invalid(
            number,
            f"has a value pattern of {len(texts['value'])} characters; the limit is {MAXIMUM_VALUE_NAME}",
            field="value",
        )
    _check_key(texts["key"], number)
    rule = Rule(texts["kind"], texts["separator"], texts["advice"], name_matcher(texts["value"]))
    return [(hive.upper(), texts["key"], rule) for hive in hives]


def _hives(hives: object, number: int) -> Sequence[str]:
    hives = [hives] if isinstance(hives, str) else hives
    if not isinstance(hives, (list, tuple)) or not hives or not all(isinstance(hive, str) and hive for hive in hives):
        raise _invalid(number, "lacks the field hive, a name or a list of names", field="hive")
    for hive in hives:
        if hive.upper() not in _HIVES:
            raise _invalid(
                number, f"has the unknown hive {hive[:80]!r}; the hives are {', '.join(HIVES)}", field="hive"
            )
    return hives


def _texts(entry: Mapping, number: int) -> dict[str, str]:
    texts = {}
    for name, default in (("key", None), ("value", None), ("kind", None), ("separator", ""), ("advice", "")):
        text = entry.get(name, default)
        text = default if text is None else text
        if text is None:
            raise _invalid(number, f"lacks the field {name}", field=name)
        if not isinstance(text, str):
            raise _invalid(number, f"has a field {name} that is not text", field=name)
        texts[name] = text
    return texts


def _check_kind(kind: str, separator: str, number: int) -> None:
    if kind not in KINDS:
        raise _invalid(number, f"has the unknown kind {kind[:80]!r}; the kinds are {', '.join(KINDS)}", field="kind")
    if kind == SEPARATED and not separator:
        raise _invalid(number, "is of the kind separated and lacks a separator", field="separator")
    if kind != SEPARATED and separator:
        raise _invalid(number, f"has a separator, which the kind {kind} does not use", field="separator")
    if '"' in separator or "\0" in separator:
        raise _invalid(number, "has a separator that contains a double quote or a NUL character", field="separator")


def _check_key(key: str, number: int) -> None:
    pattern: PatternTree[None] = PatternTree()
    try:
        pattern.add(key, None)
    except InvalidInput as error:
        raise _invalid(number, f"has the key {key[:200]!r}, which is not a valid pattern", field="key") from error
    first = key.partition("\\")[0].upper()
    if first == "CURRENTCONTROLSET" or first.startswith("HKEY_") or first in ("HKLM", "HKCU", "HKCR", "HKU"):
        # Such a rule would never apply.
        raise _invalid(
            number,
            f"has a key that begins with {first}; a key begins below the hive's root, and with ControlSet* for control sets",
            field="key",
        )


def _invalid(number: int, problem: str, **details: object) -> InvalidInput:
    return InvalidInput(
        f"Rule {number} of the option registry_lists {problem}.",
        code="winregistry.rules",
        hint="Give the rule a hive, key, value and kind, and for the kind separated a separator. "
        "docs/registry-deltas.md describes the fields.",
        rule=number,
        **details,
    )
