# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Windows that servicing owns: they come from the OS layer, unless a rule of the user includes them.

That servicing installs the files in ``SETTINGS`` but administrators and installers edit them is knowledge without a source.
"""

from __future__ import annotations

from ..rule import Rule
from .compared import Compared
from .servicing import SERVICING

#: The name of the database, and the reason that a capture reports.
SYSTEM_FILES = "system_files"

#: Settings in text form, which installers extend: ports of services, addresses of hosts, data providers of .NET. A layer has such
#: a file only if it changed; the copy in the component store stays that of the OS layer.
SETTINGS = (
    "Windows\\System32\\drivers\\etc\\*",
    "Windows\\Microsoft.NET\\Framework*\\*\\Config\\*",
    "Windows\\win.ini",
    "Windows\\system.ini",
)


def system_file_rules(_compared: Compared) -> list[Rule]:
    """Return the rules that leave out files of Windows.

    An update replaces these files in the OS layer. An older file of a layer over the update gives a Windows installation
    with files of two versions. A user's rule about the database of servicing decides about the files as well: their
    components are members of it.
    """
    rules = []
    for name in (SERVICING.name, SYSTEM_FILES):
        rules.append(Rule("**", name, database=name, serviced=True))
        # What is not a member of a database is decided by the rules before those of this database only.
        rules += [Rule(path, name, database=name, serviced=True, is_member=False) for path in SETTINGS]
    return rules
