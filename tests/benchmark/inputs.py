# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cases work on: sample machines, programs to put into layers; made once and kept under ``.cache/bench/inputs``."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from dataclasses import dataclass

from ..sample import pe, wine
from ..sample.cache import cached_disk
from ..sample.package import make_package
from ..sample.plan import GIB, MIB, Manifest, Spec

_HERE = os.path.dirname(os.path.realpath(__file__))
_SAMPLE = os.path.join(os.path.dirname(_HERE), "sample")
#: Bytes in use of the full and of the small sample; the large machine has seven times as much beside it.
_IN_USE = {"full": 780 * MIB, "small": 8 * MIB}


@dataclass(frozen=True)
class Machine:
    """An exported OS machine: its OVF ``package`` below ``share``, the bytes of its disk file, the layer size it is imported with."""

    share: str
    package: str
    size: int
    size_gb: int

    @property
    def vmdk(self) -> str:
        """The exported disk."""
        return os.path.join(self.share, self.package.replace(".ovf", "-disk1.vmdk"))


class Inputs:
    """Everything in ``folder``; ``quick`` for the small ones."""

    def __init__(self, folder: str, *, quick: bool) -> None:
        self._folder = folder
        self._quick = quick

    def raw_disk(self) -> tuple[str, Manifest]:
        """The raw disk of the OS machine, not to be written to, and what it holds."""
        return cached_disk(self._spec("base"))

    def machine(self, name: str) -> Machine:
        """The OS machine "base", "medium" with 4 GiB in use, or "large" with eight times as much as the base, as vSphere exports it."""
        spec = self._spec(name)
        share = self._made(
            f"machine-{name}-{_fingerprint(spec)}",
            lambda folder: make_package(folder, spec, name="gold", cached=name == "base"),
        )
        return Machine(
            share, "gold.ovf", os.stat(os.path.join(share, "gold-disk1.vmdk")).st_size, 1 if self._quick else 32
        )

    def growth(self, name: str = "large") -> float:
        """How many times as much data a machine has as the base."""
        return 1 + self._spec(name).ballast / (os.stat(self.raw_disk()[0]).st_blocks * 512)

    def _spec(self, name: str) -> Spec:
        size = "small" if self._quick else "full"
        used = _IN_USE[size]
        return Spec(
            size, ballast={"base": 0, "medium": (32 * MIB if self._quick else 4 * GIB) - used, "large": 7 * used}[name]
        )

    def programs(self, name: str, first: int, count: int, size: int) -> str:
        """A folder with ``count`` files of ``size`` bytes below ``Program Files/NAME``: slices of real programs, others for another ``first``."""
        key = f"programs-{name}-{first}-{count}-{size}-{'made' if self._quick else wine.package_version()}".replace(
            ":", "_"
        ).replace("~", "_")
        return self._made(
            key, lambda folder: self._write_programs(os.path.join(folder, "Program Files", name), first, count, size)
        )

    def _write_programs(self, folder: str, first: int, count: int, size: int) -> None:
        sources = [] if self._quick else _programs(2 * size)
        for number in range(first, first + count):
            if self._quick:
                data = pe.words(f"program {number}", size)
            else:
                path = sources[number % len(sources)]
                with open(path, "rb") as stream:
                    stream.seek(number * 7919 * 512 % (os.stat(path).st_size - size))
                    data = stream.read(size)
            target = os.path.join(folder, f"part{(number - first) // 100:02}", f"module{number - first:05}.dll")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as stream:
                stream.write(data)

    def _made(self, name: str, make) -> str:
        folder = os.path.join(self._folder, name)
        done = os.path.join(self._folder, f"{name}.done")
        if not os.path.exists(done):
            self._forget(name)
            os.makedirs(folder)
            make(folder)
            with open(done, "w", encoding="utf-8"):
                pass
        return folder

    def _forget(self, name: str) -> None:
        """Remove a rest of ``name``, and machines of the same sort with another fingerprint."""
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
    """Real PE files, those of the installed wine, of at least so many bytes."""
    found = [
        path for path in sorted(glob.glob("/usr/lib/*/wine/x86_64-windows/*.dll")) if os.stat(path).st_size >= least
    ]
    if not found:
        raise FileNotFoundError("Debian's packages wine and wine64 are needed: their programs go into the layers.")
    return found


def _fingerprint(spec: Spec) -> str:
    """Name of what ``spec`` makes: the generator's sources and the installed wine, not the engine's, whose changes are what is measured."""
    digest = hashlib.sha256(json.dumps([spec.size, spec.virtual_size, spec.ballast, wine.package_version()]).encode())
    for path in sorted(glob.glob(os.path.join(_SAMPLE, "*.py"))):
        with open(path, "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()[:16]
