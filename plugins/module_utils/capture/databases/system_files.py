# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Windows that servicing owns: they come from the OS layer, unless a rule of the user includes them."""

from __future__ import annotations

from ..rule import Rule
from .compared import Compared
from .servicing import SERVICING

#: The name of the database, and the reason that a capture reports.
SYSTEM_FILES = "system_files"


def system_file_rules(_compared: Compared) -> list[Rule]:
    """Return the rules that leave out files of Windows.

    An update replaces these files in the OS layer. An older file of a layer over the update gives a Windows installation
    with files of two versions. A user's rule about the database of servicing decides about the files as well: their
    components are members of it.
    """
    return [Rule("**", name, database=name, serviced=True) for name in (SERVICING.name, SYSTEM_FILES)]
