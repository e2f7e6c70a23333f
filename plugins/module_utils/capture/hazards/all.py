# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named warnings about content that cannot be layered, whether a capture stored it or excluded it.

Databases that Windows stores in a single file cannot be merged: the highest layer would replace the entries of
other layers and of the OS layer. Excluded content is reported as well, because an application may need it.

Hazards are judged by content, such as new accounts or packages: Windows writes to all of these databases in each start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from ...common.counting import counted_examples
from ...common.findings import WARN, Finding
from .observed import Observed

_LISTED = 5


@dataclass(frozen=True)
class _Text:
    """What a hazard says: ``found`` is followed by the items, ``action`` is the recommended action."""

    found: str
    action: str


HAZARDS: dict[str, _Text] = {
    "wmi_repository": _Text(
        "WMI classes or providers were registered",
        "Register the providers of the application at the first start of an image (mofcomp in the layer's script).",
    ),
    "catalogs": _Text(
        "signature catalogs were excluded",
        "Include the catalogs with a rule of the option exclusions if the application's files are verified by them.",
    ),
    "driver_store": _Text(
        "driver packages were added",
        "Test the devices in an image: driver packages are captured with their devices. Install drivers that Windows needs to "
        "start, and drivers that several layers need, in the OS layer or the platform layer.",
    ),
    "servicing": _Text(
        "Windows features or updates were installed",
        "Install updates and features in the OS layer: the component store cannot be merged.",
    ),
    "accounts": _Text(
        "local users, groups, members or rights changed",
        "Create local accounts in the OS layer; run applications with domain accounts, virtual service accounts (NT SERVICE\\name) or LocalService.",
    ),
    "com_plus": _Text(
        "the COM+ catalog changed",
        "Register COM+ applications in the OS layer, or with the layer's script at the first start.",
    ),
    "store_apps": _Text(
        "Store apps (AppX, MSIX) were installed or updated",
        "Provision Store apps in the OS layer: their registrations are in a single database.",
    ),
    "user_profiles": _Text(
        "files of the user who ran the installer were excluded",
        "Store settings for all users in ProgramData, or in C:\\Users\\Default for new users; include single files with a rule of the option exclusions.",
    ),
    "activation": _Text(
        "licenses of Windows or Office were installed",
        "Activate with KMS or Active Directory: a license in a layer would be that of a single VM. "
        "A layer with volume licenses of Office gets the script officeactivate.cmd for it.",
    ),
    "performance_counters": _Text(
        "performance counters were registered",
        "Run 'lodctr /R' in the layer's script: the numbers of performance counters cannot be merged.",
    ),
    "network_protocols": _Text(
        "Winsock protocols or network components were installed",
        "Install VPN and firewall software in the OS layer or the platform layer.",
    ),
    "task_cache": _Text(
        "scheduled tasks were registered",
        "Make sure that no two layers register tasks of the same name; tasks are layered as files and keys.",
    ),
    "native_images": _Text(
        "compiled .NET assemblies were captured",
        "No action is needed: they are valid for this OS layer version only, and .NET compiles them again otherwise.",
    ),
    "system_files": _Text(
        "files of Windows were changed, replaced or removed",
        "Install updates and features in the OS layer. If the application needs a file of its own in place of a file of "
        "Windows, include the path with a rule of the option exclusions.",
    ),
    "names_in_case": _Text(
        "files whose names differ only in case were excluded",
        "Rename the files: Windows programs cannot distinguish them.",
    ),
    "spelling": _Text(
        "folders changed only the case of their names; the layer keeps the names of the image",
        "No action is needed: Windows treats both names as equal.",
    ),
    "machine_certificates": _Text(
        "certificates of the computer were installed",
        "Enroll certificates in each VM: the layer does not contain their private keys.",
    ),
    "noise_profile": _Text(
        "changes that Windows also makes by itself were excluded, although the application may have made them",
        "Check the items. Include those that belong to the application with a rule of the option exclusions.",
    ),
}


def find_hazards(observed: Observed, expected: Mapping[str, Iterable[str]] | None = None) -> list[dict]:
    """Return the hazards that have items, JSON-compatible, in the order of ``HAZARDS``; every result is "warn".

    ``expected`` are items that Windows adds by itself, by hazard.
    """
    remaining = observed.without(expected or {})
    findings = []
    for name, text in HAZARDS.items():
        items = remaining.items(name)
        if items:
            shown = counted_examples(items[:_LISTED], len(items), "item")
            findings.append(asdict(Finding(name, WARN, f"{text.found}: {shown}", text.action)))
    return findings
