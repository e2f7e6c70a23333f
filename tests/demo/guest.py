# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest of the published machine: stands in for a Windows that starts, finishes its setup and shuts down.

``guest.py NAME MOID DISK...``, as the simulator calls it. It reads the disk as a boot would and notes what it found.
"""

from __future__ import annotations

import json
import os
import sys

from .windows_disk import windows_volume


def main(arguments: list[str]) -> int:
    name, moid, disk = arguments[:3]
    with windows_volume(disk) as volume:
        system = volume.mft.get("Windows/System32/config/SYSTEM").open().read(4)
        if system != b"regf":
            raise ValueError("The SYSTEM hive is not a hive.")
        kernel = sum(1 for _entry in volume.mft.get("Windows/System32").iterdir(ignore_dos=True))
    note = {"vm": name, "moid": moid, "system32": kernel}
    with open(os.environ["DEMO_GUEST_NOTES"], "a", encoding="utf-8") as notes:
        notes.write(json.dumps(note) + "\n")
    sys.stdout.write(f"guestinfo.demo.started={kernel} names in System32\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
