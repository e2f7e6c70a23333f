# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Licenses of Windows, Office and Store apps.

Source: Citrix CTX227287: App Layering saves the token store of a layer and copies it back as a whole.
"""

from __future__ import annotations

from .model import Database

_NT = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"

LICENSES = Database(
    name="licenses",
    text="tokens, product keys and activation of Windows and of Office. Tokens are bound to one installation; layers with "
    "Office install its licenses again at the first start of an image",
    files=(
        "Windows\\System32\\spp\\store",
        "ProgramData\\Microsoft\\OfficeSoftwareProtectionPlatform",
        # The service for licenses of Store apps.
        "ProgramData\\Microsoft\\Windows\\ClipSVC",
    ),
    keys=(
        _NT + "\\SoftwareProtectionPlatform",
        "SOFTWARE\\Microsoft\\OfficeSoftwareProtectionPlatform",
        (_NT, "ProductId"),
        (_NT, "DigitalProductId*"),
        "SYSTEM\\WPA",
        "SYSTEM\\CurrentControlSet\\Control\\{7746D80F-97E0-4E26-9543-26B41FC22F79}",
    ),
)
