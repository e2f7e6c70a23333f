# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaged disks: each is a copy of the OS machine's disk on which a single installer ran.

Each installer runs in wine in a copy of a fresh prefix; its changes are then applied to a copy of the OS machine's disk, which holds
the files of such a prefix and the OS machine tools. The disks are cached under ``packaged`` until one of their sources changes.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.encode import encode
from ..acceptance import disks, wine
from ..sample.cache import cached_disk, fingerprint
from ..sample.plan import Spec
from ..sample.tree import INSTALLED
from ..support.wine_guest import write_files
from ..support.wine_machine import SCRIPTS, tool_files
from . import installers

_SPEC = Spec(size="full")
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SOURCES = (
    "tests/demo/apps.py",
    "tests/demo/installers.py",
    "tests/demo/packaging.py",
    "tests/acceptance/*.py",
    "tests/support/wine_guest.py",
    "roles/os_machine/files/scripts/**/*.cmd",
)
_INSTALLERS = {
    "editor-1.0": lambda tree, folder: installers.editor(tree, folder, "1.0"),
    "editor-1.1": lambda tree, folder: installers.editor(tree, folder, "1.1"),
    "house-rules-2.0": installers.house_rules,
}


def package_all(cache: pathlib.Path, work: pathlib.Path) -> None:
    """Write the packaged disk of each installer to ``work``/packaged; ``work``/apps holds the files of the applications."""
    cached = cache / "packaged" / _fingerprint()
    if not cached.exists():
        shutil.rmtree(cache / "packaged", ignore_errors=True)
        scratch = cache / "packaging"
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "disks").mkdir(parents=True)
        try:
            _build(scratch, work / "apps")
            cached.parent.mkdir()
            (scratch / "disks").rename(cached)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    (work / "packaged").mkdir()
    for disk in cached.iterdir():
        os.link(disk, work / "packaged" / disk.name)


def _fingerprint() -> str:
    digest = hashlib.sha256(fingerprint(_SPEC).encode())
    for pattern in _SOURCES:
        for path in sorted(_ROOT.glob(pattern)):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _build(scratch: pathlib.Path, trees: pathlib.Path) -> None:
    (scratch / "home").mkdir()
    fresh = wine.make_prefix(str(scratch / "fresh"), str(scratch / "home"))
    os_disk, _manifest = cached_disk(_SPEC)
    for name, build_installer in _INSTALLERS.items():
        folder = scratch / "installers" / name
        folder.mkdir(parents=True)
        installer = str(build_installer(trees / name, folder))
        disk = scratch / "packaged.raw"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(os_disk), str(disk)], check=True)
        prefix = fresh.copy(str(scratch / "prefix"))
        with FileDevice(str(disk), writable=True) as device:
            write_files(
                device, {}, {f"{SCRIPTS}/{path}": data for path, data in tool_files().items()}, moment=INSTALLED
            )
        before, registry = disks.stamps(prefix), disks.registries(prefix)
        with prefix.started():
            if installer.endswith(".msi"):
                prefix.run("msiexec", "/i", installer, "/qn")
            else:
                prefix.run(installer, "/S")
        disks.pack(prefix, before, str(disk), registry)
        with FileDevice(str(disk)) as device, open(scratch / "disks" / f"{name}.vmdk", "wb") as out:
            encode(device, out)
        shutil.rmtree(prefix.path)
        disk.unlink()
