# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of the cases: sample OS machines and programs for layers; generated once and kept under ``.cache/bench/inputs``."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from ..sample import pe, wine
from ..sample.cache import cached_disk
from ..sample.package import make_package
from ..sample.plan import GIB, MIB, Manifest, Spec

_HERE = os.path.dirname(os.path.realpath(__file__))
_SAMPLE = os.path.join(os.path.dirname(_HERE), "sample")
#: Bytes in use of the full and of the small sample; the large OS machine has seven times as much in addition.
_IN_USE = {"full": 780 * MIB, "small": 8 * MIB}


@dataclass(frozen=True)
class ExportedMachine:
    """An exported OS machine: its OVF ``package`` below ``share``, the size of its disk file in bytes, the layer size for the import in GiB."""

    share: str
    package: str
    size: int
    size_gb: int

    @property
    def vmdk(self) -> str:
        """Return the path of the exported disk."""
        return os.path.join(self.share, self.package.replace(".ovf", "-disk1.vmdk"))


class Inputs:
    """Inputs in ``folder``; with ``quick``, small inputs."""

    def __init__(self, folder: str, *, quick: bool) -> None:
        self._folder = folder
        self._quick = quick

    def raw_disk(self) -> tuple[str, Manifest]:
        """Return the raw disk of the OS machine, which must not be written to, and its manifest."""
        return cached_disk(self._spec("base"))

    def exported(self, name: str) -> ExportedMachine:
        """Return an OS machine as vSphere exports it: "base", "medium" (4 GiB in use) or "large" (eight times as much in use as "base")."""
        spec = self._spec(name)
        share = self._generated(
            f"machine-{name}-{_fingerprint(spec)}",
            lambda folder: make_package(folder, spec, name="gold", cached=name == "base"),
        )
        return ExportedMachine(
            share, "gold.ovf", os.stat(os.path.join(share, "gold-disk1.vmdk")).st_size, 1 if self._quick else 32
        )

    def growth(self, name: str = "large") -> float:
        """Return the ratio of the data in use of an OS machine to that of the base."""
        return 1 + self._spec(name).ballast / (os.stat(self.raw_disk()[0]).st_blocks * 512)

    def _spec(self, name: str) -> Spec:
        size = "small" if self._quick else "full"
        used = _IN_USE[size]
        return Spec(
            size, ballast={"base": 0, "medium": (32 * MIB if self._quick else 4 * GIB) - used, "large": 7 * used}[name]
        )

    def programs(self, name: str, first: int, count: int, size: int) -> str:
        """Return a folder with ``count`` files of ``size`` bytes below ``Program Files/NAME``.

        The files are slices of real programs; each value of ``first`` gives different slices.
        """
        key = f"programs-{name}-{first}-{count}-{size}-{'made' if self._quick else wine.package_version()}".replace(
            ":", "_"
        ).replace("~", "_")
        return self._generated(
            key, lambda folder: self._write_programs(os.path.join(folder, "Program Files", name), first, count, size)
        )

    def _write_programs(self, folder: str, first: int, count: int, size: int) -> None:
        sources = [] if self._quick else _programs(2 * size)
        for number in range(first, first + count):
            if self._quick:
                data = pe.filler(f"program {number}", size)
            else:
                path = sources[number % len(sources)]
                with open(path, "rb") as stream:
                    stream.seek(number * 7919 * 512 % (os.stat(path).st_size - size))
                    data = stream.read(size)
            target = os.path.join(folder, f"part{(number - first) // 100:02}", f"module{number - first:05}.dll")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as stream:
                stream.write(data)

    def _generated(self, name: str, generate: Callable[[str], object]) -> str:
        folder = os.path.join(self._folder, name)
        done = os.path.join(self._folder, f"{name}.done")
        if not os.path.exists(done):
            self._forget(name)
            os.makedirs(folder)
            generate(folder)
            with open(done, "w", encoding="utf-8"):
                pass
        return folder

    def _forget(self, name: str) -> None:
        """Remove an incomplete ``name``, and exported OS machines of the same kind with a different fingerprint."""
        stale = (
            glob.glob(os.path.join(self._folder, name.rpartition("-")[0] + "-*"))
            if name.startswith("machine-")
            else [os.path.join(self._folder, name)]
        )
        for path in stale:
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)


def _programs(least: int) -> list[str]:
    """Return PE files of the installed wine with at least ``least`` bytes."""
    programs = [
        path for path in sorted(glob.glob("/usr/lib/*/wine/x86_64-windows/*.dll")) if os.stat(path).st_size >= least
    ]
    if not programs:
        raise FileNotFoundError("The programs of wine were not found; install the Debian packages wine and wine64.")
    return programs


def _fingerprint(spec: Spec) -> str:
    """Return a digest over ``spec``, the sources of the generator and the version of wine.

    The engine's sources are not part of it, because their changes are measured.
    """
    digest = hashlib.sha256(json.dumps([spec.size, spec.virtual_size, spec.ballast, wine.package_version()]).encode())
    for path in sorted(glob.glob(os.path.join(_SAMPLE, "*.py"))):
        with open(path, "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()[:16]
