# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try the libraries that the modules need and print, as JSON, which of them do not work.

Arguments: requirements as pip takes them, NAME>=VERSION or NAME.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import sysconfig

NTFS = "libntfs-3g.so.89"


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def wrong_requirements(requirements: list[str]) -> list[str]:
    wrong = []
    for requirement in requirements:
        name, _operator, wanted = requirement.partition(">=")
        try:
            if numbers(importlib.metadata.version(name.strip())) < numbers(wanted):
                wrong.append(requirement)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(requirement)
    return wrong


def use_libraries() -> None:
    """Raise what is wrong when a library is installed but does not work."""
    import numpy
    import pyVmomi
    import zstandard
    from isal import isal_zlib

    data = numpy.arange(65536, dtype=numpy.uint8).tobytes()
    if isal_zlib.decompress(isal_zlib.compress(data, 1)) != data:
        raise ImportError("isal does not return what it compressed")
    if zstandard.ZstdDecompressor().decompress(zstandard.ZstdCompressor().compress(data)) != data:
        raise ImportError("zstandard does not return what it compressed")
    if not hasattr(pyVmomi.vim, "VirtualMachine"):
        raise ImportError("pyVmomi does not know virtual machines")


def main() -> None:
    answer = {
        "python": sys.version.split()[0],
        "requirements": wrong_requirements(sys.argv[1:]),
        "ntfs": "",
        "libraries": "",
    }
    answer["venv"] = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    answer["managed"] = sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    )
    try:
        if not hasattr(ctypes.CDLL(NTFS), "ntfs_mount"):
            answer["ntfs"] = f"{NTFS} has no ntfs_mount"
    except OSError as error:
        answer["ntfs"] = str(error)
    try:
        use_libraries()
    except (ImportError, AttributeError, ValueError) as error:
        answer["libraries"] = f"{type(error).__name__}: {error}"
    json.dump(answer, sys.stdout)


main()
