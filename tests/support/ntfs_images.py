# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NTFS volumes in image files: external tools, and readers that share no code with the engine."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest
from dissect.ntfs import NTFS

from ...plugins.module_utils.common.errors import StrataError
from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.ntfs.times import Times
from ...plugins.module_utils.ntfs.volume import Volume
from . import ntfs_check

TIMES = Times(132000000000000001, 132000000000000012, 132000000000000123, 132000000000001234)


def run(*command, expect=0):
    """Run a program; return its output, or fail with it unless the exit status is ``expect``."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def require_tool(tool):
    """Fail with a hint when a program of ntfs-3g is not installed."""
    if shutil.which(tool) is None and not pathlib.Path("/usr/sbin", tool).exists():
        pytest.fail(f"These tests need {tool}; install the Debian package ntfs-3g.")


def verify_volume(path, entries_follow=True, boot=True):
    """Fail unless ntfs_check, ntfsfix, phantom-trace and, where it is installed, checkdisk find no inconsistency.

    ntfsfix requires the backup boot sector in the last sector of the file: without ``boot`` it is not run.
    """
    with FileDevice(str(path)) as device:
        assert ntfs_check.check(device, entries_follow=entries_follow) == []
    require_tool("ntfsfix")
    if boot:
        assert "processed successfully" in run("ntfsfix", "-n", path)
    report = json.loads(run(pathlib.Path(sys.executable).with_name("phantom-trace"), path, "--json"))
    assert report["findings"] == []
    assert chkdsk_findings(path) == []


def chkdsk_findings(path) -> list[str]:
    """Return the findings of checkdisk, which checks what chkdsk checks; none where it is not installed (before Python 3.13)."""
    program = shutil.which("checkdisk")
    if program is None:
        return []
    command = [program, "fix", path]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, check=False)
    if done.returncode == 0:
        return []
    assert done.returncode == 1, done.stderr
    return done.stdout.splitlines()


class Independent:
    """A volume that is read with dissect.ntfs."""

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
        """Return the value of a file's first attribute of a type, None if it has none."""
        for attribute in self.record(path).attributes[kind]:
            return attribute.data()
        return None

    def standard(self, path):
        return struct.unpack_from("<qqqqI", self.value(path, 0x10))

    def times(self, path):
        created, written, changed, accessed, _attributes = self.standard(path)
        return Times(created, written, accessed, changed)

    def attributes(self, path):
        return self.standard(path)[4]

    def security(self, path):
        """Return the security descriptor in $SDS that has the number in the file's record."""
        number = struct.unpack_from("<I", self.value(path, 0x10), 52)[0]
        stream = io.BytesIO(self.ntfs.mft.get(9).open("$SDS").read())
        data = stream.getvalue()
        for start in range(0, len(data), 0x80000):
            position = start
            while position + 20 <= len(data):
                _hash, entry_number, offset, length = struct.unpack_from("<IIQI", data, position)
                if not length or offset != position:
                    break
                if entry_number == number:
                    return data[position + 20 : position + length]
                position += length + 15 & ~15
        return None

    def tree(self, record=None, prefix=""):
        """Yield the path of every file, without 8.3 names and NTFS's own files."""
        record = record or self.ntfs.mft.get(5)
        for name, entry in sorted(record.listdir().items()):
            child = entry.dereference()
            if child.segment < 24:
                continue
            spaces = {link.attribute.file_name: int(link.attribute.flags) for link in child.attributes[0x30]}
            if spaces.get(name) == 2:
                continue
            path = f"{prefix}{name}"
            yield path
            if child.is_dir() and not child.is_reparse_point():
                yield from self.tree(child, path + "/")


def touch_everything(path, writable):
    """Read everything that can be reached, and with ``writable`` change some of it; skip files that raise a StrataError."""
    with FileDevice(path, writable=writable) as device:
        with Volume.mount(device, writable=writable) as volume:
            seen: list[str] = []

            def touch(node, depth):
                for probe in (
                    "times",
                    "attributes",
                    "security",
                    "reparse",
                    "eas",
                    "object_id",
                    "short_name",
                    "streams",
                    "link_count",
                ):
                    getattr(node, probe)
                if node.is_directory:
                    visit(node, depth + 1)
                else:
                    node.read(100000)
                if writable and len(seen) % 3 == 0:
                    node.write(b"x" * 5000, 0, "s")
                    node.set_times(Times(1, 2, 3, 4))
                if writable and len(seen) % 5 == 0:
                    node.delete()

            def visit(directory, depth):
                for entry in directory.children():
                    if len(seen) > 500 or depth > 10:
                        return
                    seen.append(entry.name)
                    try:
                        with volume.open(entry.reference, entry.name, directory.file_reference) as node:
                            touch(node, depth)
                    except StrataError:
                        continue

            with volume.root as root:
                visit(root, 0)
                if writable:
                    root.create_file("new file", b"x" * 9000).close()
                    volume.allocated_clusters()
            return len(seen)
