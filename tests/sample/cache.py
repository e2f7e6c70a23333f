# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished sample disks, kept under ``.cache/sample`` of the checkout until a source they come from changes."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator

from . import wine
from .disk import make_disk
from .plan import Manifest, Spec

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_FOLDER = os.path.join(_ROOT, ".cache", "sample")
_IN_USE = 1800  # seconds: after that time, the process that requested a disk has read it
_SOURCES = (
    "tests/sample",
    "plugins/module_utils/ntfs",
    "plugins/module_utils/winregistry",
    "plugins/module_utils/disk",
)


def fingerprint(spec: Spec) -> str:
    """Return a digest of ``spec``, the sources and the version of wine."""
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted(glob.glob(os.path.join(_ROOT, folder, "*.py"))):
            with open(path, "rb") as stream:
                digest.update(hashlib.sha256(stream.read()).digest())
    digest.update(json.dumps(dataclasses.asdict(spec), sort_keys=True).encode())
    if spec.size == "full":
        digest.update(wine.package_version().encode())
    return digest.hexdigest()[:24]


def cached_disk(spec: Spec) -> tuple[str, Manifest]:
    """Return the path of the raw disk of ``spec``, which must not be written to, and its manifest.

    The disk is generated unless it is cached; disks of older sources are then removed.
    """
    name = fingerprint(spec)
    folder = os.path.join(_FOLDER, name)
    with _locked():
        if not os.path.exists(os.path.join(folder, "manifest.json")):
            _forget(spec)
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            manifest = make_disk(os.path.join(folder, "disk.raw"), spec)
            with open(os.path.join(folder, "spec.json"), "w", encoding="utf-8") as stream:
                json.dump(dataclasses.asdict(spec), stream)
            temporary = os.path.join(folder, "manifest.json.tmp")
            with open(temporary, "w", encoding="utf-8") as stream:
                stream.write(manifest.to_json())
            os.rename(temporary, os.path.join(folder, "manifest.json"))
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as stream:
        return os.path.join(folder, "disk.raw"), Manifest.from_json(stream.read())


def _forget(spec: Spec) -> None:
    """Remove disks of the same specification and older sources, unless another process may be reading them."""
    for path in glob.glob(os.path.join(_FOLDER, "*", "spec.json")):
        with open(path, encoding="utf-8") as stream:
            known = json.load(stream)
        if (
            Spec(**{**known, "variants": tuple(known["variants"])}) == spec
            and time.time() - os.stat(path).st_mtime > _IN_USE
        ):
            shutil.rmtree(os.path.dirname(path))


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    os.makedirs(_FOLDER, exist_ok=True)
    with open(os.path.join(_FOLDER, "lock"), "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
