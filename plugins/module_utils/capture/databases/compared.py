# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two Windows installations of a capture, as rules that depend on the disks see them."""

from __future__ import annotations

from dataclasses import dataclass

from ...windows.installation import WindowsInstallation


@dataclass(frozen=True, eq=False)
class Compared:
    """``before`` is the image that the packaging machine started from (None if it has no Windows), ``after`` its disk.

    ``kind`` is the kind of the layer. Two objects are equal only if they are the same object, so that what several rules
    need is computed once for each.
    """

    before: WindowsInstallation | None
    after: WindowsInstallation
    kind: str
