# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FAT32 file systems inside a disk image, by dosfstools and mtools; no root, no mount."""

from __future__ import annotations

import os
import subprocess
import tempfile

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "MTOOLS_SKIP_CHECK": "1",
    "SOURCE_DATE_EPOCH": "1705305600",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}


def _run(*command: str) -> None:
    subprocess.run(
        command,
        env=_ENVIRONMENT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=60,
    )


def make_fat(image: str, offset: int, size: int, files: dict[str, bytes], label: str = "SYSTEM") -> None:
    """Format ``size`` bytes at ``offset`` (whole sectors) of the file ``image`` and put ``files`` (path: bytes) there."""
    _run(
        "mkfs.vfat",
        "-F",
        "32",
        "-S",
        "512",
        "-s",
        "1",
        "-i",
        "5A3C1E07",
        "-n",
        label,
        "-h",
        str(offset // 512),
        "--invariant",
        f"--offset={offset // 512}",
        image,
        str(size // 1024),
    )
    target = f"{image}@@{offset}"
    folders: list[str] = []
    for path in files:
        parts = path.split("/")[:-1]
        folders += ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for folder in dict.fromkeys(folders):
        _run("mmd", "-i", target, "::/" + folder)
    with tempfile.TemporaryDirectory() as scratch:
        for number, (path, data) in enumerate(files.items()):
            source = os.path.join(scratch, str(number))
            with open(source, "wb") as stream:
                stream.write(data)
            os.utime(source, (1705305600, 1705305600))
            _run("mcopy", "-i", target, "-m", source, "::/" + path)
