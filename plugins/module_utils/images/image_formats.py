# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of exported images, apart from the code that writes them, which a repeated export does not need."""

from __future__ import annotations

FORMATS = ("vmdk", "ova", "vhd", "vhd_fixed", "vhdx", "raw", "qcow2")
#: The formats that the ending of a file name selects.
ENDINGS = ("vmdk", "ova", "vhd", "vhdx", "raw", "qcow2")
#: Formats that can be written to a share without a mount: their files are written in order and have few zeros.
STREAMED = ("vmdk", "ova", "vhd", "vhdx")
