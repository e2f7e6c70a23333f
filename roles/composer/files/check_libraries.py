# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the libraries that the modules need, and print the problems as JSON.

Arguments: pip requirements, NAME>=VERSION or NAME.
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


def unmet_requirements(requirements: list[str]) -> list[str]:
    unmet = []
    for requirement in requirements:
        name, _operator, minimum = requirement.partition(">=")
        try:
            if numbers(importlib.metadata.version(name.strip())) < numbers(minimum):
                unmet.append(requirement)
        except importlib.metadata.PackageNotFoundError:
            unmet.append(requirement)
    return unmet


def use_libraries() -> None:
    """Raise an exception if an installed library does not work."""
    import blake3
    import numpy
    import pyVmomi
    import zstandard
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from isal import isal_zlib

    data = numpy.arange(65536, dtype=numpy.uint8).tobytes()
    if isal_zlib.decompress(isal_zlib.compress(data, 1)) != data:
        raise ImportError("isal does not return what it compressed")
    if blake3.blake3(data).digest() != blake3.blake3(data[:1]).update(data[1:]).digest():
        raise ImportError("blake3 does not compute digests")
    if zstandard.ZstdDecompressor().decompress(zstandard.ZstdCompressor().compress(data)) != data:
        raise ImportError("zstandard does not return what it compressed")
    key, signature_hash = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    key.public_key().verify(key.sign(data, signature_hash), data, signature_hash)
    if not hasattr(pyVmomi.vim, "VirtualMachine"):
        raise ImportError("pyVmomi does not know virtual machines")


def main() -> None:
    result: dict[str, object] = {
        "python": sys.version.split()[0],
        "requirements": unmet_requirements(sys.argv[1:]),
        "ntfs": "",
        "libraries": "",
    }
    result["venv"] = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
    result["managed"] = sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    )
    try:
        if not hasattr(ctypes.CDLL(NTFS), "ntfs_mount"):
            result["ntfs"] = f"{NTFS} has no ntfs_mount"
    except OSError as error:
        result["ntfs"] = str(error)
    try:
        use_libraries()
    except (ImportError, AttributeError, ValueError) as error:
        result["libraries"] = f"{type(error).__name__}: {error}"
    json.dump(result, sys.stdout)


main()
