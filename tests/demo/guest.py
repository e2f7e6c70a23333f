# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Guest of the OS machine: runs until shutdown, then writes the files that the Windows model has in C:\Windows\Setup\scripts to the disk.

The simulator calls it as ``guest.py STATE NAME MOID DISK...``; STATE is the file of the Windows model.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile

from ..sample.tree import INSTALLED
from ..support import wine_guest
from ..support.windows_guest import model
from ..support.wine_machine import SCRIPTS


def command(state: str | os.PathLike) -> str:
    """Return the shell command of the guest, for Simulator.guest."""
    return "exec " + shlex.join([sys.executable, "-m", __spec__.name, os.fspath(state)]) + ' "$@"'


def main(arguments: list[str]) -> int:
    """Run until vSphere asks for a shutdown, then update the disk."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    state, _name, moid, disk = arguments[:4]
    signal.sigwait({signal.SIGTERM})
    files = model.files_below(model.load(state), SCRIPTS)
    if files:
        with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
            path = os.path.join(folder, "disk.vmdk")
            # The cached packaged disks hold the tools with the same time stamp.
            wine_guest.repack(disk, path, {}, files, moment=INSTALLED)
            wine_guest.put_disk(moid, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
