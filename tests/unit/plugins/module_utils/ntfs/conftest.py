# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes for the tests of the ntfs workspace, and the independent judges of what was written."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest
from dissect.ntfs import NTFS

from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import sid
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.node import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import ntfs_check
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_file

TIMES = Times(132000000000000001, 132000000000000012, 132000000000000123, 132000000000001234)


def run(*command, expect=0):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def need(tool):
    if shutil.which(tool) is None and not pathlib.Path("/usr/sbin", tool).exists():
        pytest.fail(f"These tests need {tool}; install the Debian package ntfs-3g.")


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    """Make a freshly formatted image, a copy each time."""
    need("mkntfs")
    kept = {}

    def make(path, megabytes=64, cluster=4096):
        key = megabytes, cluster
        if key not in kept:
            kept[key] = tmp_path_factory.mktemp("blank") / "image"
            with open(kept[key], "wb") as out:
                out.truncate(megabytes << 20)
            run("mkntfs", "-q", "-Q", "-F", "-c", cluster, "-L", "Test", kept[key])
        run("cp", "--sparse=always", kept[key], path)
        return path

    return make


@pytest.fixture
def image(blank, tmp_path):
    """The path of a fresh 64 MiB volume."""
    return blank(tmp_path / "image")


@pytest.fixture
def volume(image):
    """A fresh volume, mounted for writing; what it became is judged at the end."""
    with FileDevice(str(image), writable=True) as device:
        with Volume.mount(device, writable=True) as mounted:
            yield mounted
    judge(image)


@pytest.fixture(name="judge", scope="session")
def _judge():
    return judge


@pytest.fixture(name="times", scope="session")
def _times():
    return TIMES


def judge(path, entries_follow=True, boot=True):
    """Fail unless the workspace's own check, ntfsfix and phantom-trace find nothing.

    ntfsfix looks for the backup boot sector in the last sector: without ``boot`` it is left out.
    """
    with FileDevice(str(path)) as device:
        assert ntfs_check.check(device, entries_follow=entries_follow) == []
    need("ntfsfix")
    if boot:
        assert "processed successfully" in run("ntfsfix", "-n", path)
    found = json.loads(run(pathlib.Path(sys.executable).with_name("phantom-trace"), path, "--json"))
    assert found["findings"] == []


class Independent:
    """A volume as dissect.ntfs reads it."""

    def __init__(self, path):
        self._stream = open(path, "rb")  # pylint: disable=consider-using-with
        self.ntfs = NTFS(self._stream)

    def close(self):
        self._stream.close()

    def record(self, path):
        return self.ntfs.mft.get(path)

    def data(self, path, stream=""):
        return self.record(path).open(stream).read()

    def value(self, path, kind):
        """The value of a file's first unnamed attribute of a type."""
        for attribute in self.record(path).attributes[kind]:
            return attribute.data()
        return None

    def standard(self, path):
        return struct.unpack_from("<qqqqI", self.value(path, 0x10))

    def times(self, path):
        created, written, changed, accessed, unused_ = self.standard(path)
        return Times(created, written, accessed, changed)

    def attributes(self, path):
        return self.standard(path)[4]

    def security(self, path):
        """The bytes of the security descriptor in $SDS that the file's number stands for."""
        number = struct.unpack_from("<I", self.value(path, 0x10), 52)[0]
        stream = io.BytesIO(self.ntfs.mft.get(9).open("$SDS").read())
        data = stream.getvalue()
        for start in range(0, len(data), 0x80000):
            position = start
            while position + 20 <= len(data):
                unused_, found, offset, length = struct.unpack_from("<IIQI", data, position)
                if not length or offset != position:
                    break
                if found == number:
                    return data[position + 20 : position + length]
                position += length + 15 & ~15
        return None

    def tree(self, record=None, prefix=""):
        """Yield the path of every file, 8.3 names and the volume's own files left out."""
        record = record or self.ntfs.mft.get(5)
        for name, entry in sorted(record.listdir().items()):
            child = entry.dereference()
            if child.segment < 24:
                continue
            spaces = {one.attribute.file_name: int(one.attribute.flags) for one in child.attributes[0x30]}
            if spaces.get(name) == 2:
                continue
            path = f"{prefix}{name}"
            yield path
            if child.is_dir() and not child.is_reparse_point():
                yield from self.tree(child, path + "/")


@pytest.fixture
def independent():
    """Open an image with dissect.ntfs."""
    opened = []

    def open_it(path):
        opened.append(Independent(path))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def windows_image(tmp_path_factory):
    """A volume that Windows formatted and filled; a copy each time."""
    kept = tmp_path_factory.mktemp("windows") / "image"
    with gzip.open(sample_file("dissect.ntfs", "3.16", "tests/_data/ntfs.bin.gz")) as packed, open(kept, "wb") as out:
        shutil.copyfileobj(packed, out)

    def copy(path):
        shutil.copyfile(kept, path)
        return path

    return copy


@pytest.fixture(scope="session")
def descriptor():
    """Make a security descriptor that grants a user with this number read access."""

    def make(number):
        user = sid(f"S-1-5-21-1-2-3-{number}")
        return file_security.default(False, owner=user, readers=(user,))

    return make
