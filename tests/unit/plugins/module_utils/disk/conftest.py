# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disks for the tests of the disk package, and qemu-img as an independent reader."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import zlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_writer import StreamOptimizedWriter

GRAIN = 65536


def grain_of(seed, filled=20000):
    """Return 64 KiB of which the first ``filled`` bytes are random."""
    return random.Random(seed).randbytes(filled) + bytes(GRAIN - filled)


def vmdk_of(capacity, grains, level=6):
    """Return the bytes of a VMDK with these plain grains, by number."""
    out = io.BytesIO()
    writer = StreamOptimizedWriter(out, capacity)
    for number, plain in sorted(grains.items()):
        writer.add(number, zlib.compress(plain, level))
    writer.finish()
    return out.getvalue()


def raw_of(capacity, grains):
    """Return the bytes of the disk with these plain grains, by number."""
    raw = bytearray(-(-capacity // GRAIN) * GRAIN)
    for number, plain in grains.items():
        raw[number * GRAIN : (number + 1) * GRAIN] = plain
    return bytes(raw[:capacity])


@pytest.fixture(scope="session")
def qemu_img():
    """Return a function that runs qemu-img and returns its output."""
    if shutil.which("qemu-img") is None:
        pytest.fail("These tests need qemu-img; install the Debian package qemu-utils.")

    def run(*arguments):
        done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(name="grain_of", scope="session")
def _grain_of():
    return grain_of


@pytest.fixture(name="vmdk_of", scope="session")
def _vmdk_of():
    return vmdk_of


@pytest.fixture(name="raw_of", scope="session")
def _raw_of():
    return raw_of
