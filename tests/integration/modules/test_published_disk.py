# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of a published VM, read back from vCenter, has the content of the layers, as independent readers see it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.tests.sample import sddl
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Expected, Manifest, Spec
from ansible_collections.strata.layering.tests.sample.reread import differences, read_volume
from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.vcenter import options_of

_EPOCH = 116444736000000000
_ARCHIVE, _DIRECTORY = 0x20, 0x10
_MTIME_NS = 1_700_000_000_123_456_700
_TIME = _MTIME_NS // 100 + _EPOCH

#: The time of files that composing generates: 2020-01-01, as FILETIME.
PLACED_TIME = 132223104000000000
#: Layers in the order in which they win: (name, files, paths to delete).
LAYERS = (
    (
        "Tool",
        {
            "Program Files/Tool/tool.exe": b"MZ" + b"tool" * 50_000,
            "Program Files/Tool/Resources/de-DE/strings and other texts.resources": b"d" * 700,
            "Program Files/Tool/empty.cfg": b"",
            "Program Files/Tool/\u4e2d\u6587 \u00e4\u00f6\u00fc.txt": b"names",
            "Program Files/Tool/big.bin": bytes(range(256)) * 40_000,
            "windows/system32/drivers/ETC/hosts": b"127.0.0.1 tool\r\n",
        },
        ["Windows\\Logs"],
    ),
    (
        "Other",
        {
            "PROGRAM FILES/TOOL/TOOL.EXE": b"MZ other",
            "ProgramData/Other/data.bin": os.urandom(300_000),
        },
        ["program files\\tool\\empty.cfg", "Windows\\regedit.exe", "No\\Such\\Path"],
    ),
)


def publish(tmp_path: pathlib.Path, simulator, spec: Spec, size_gb: int) -> tuple[Manifest, str, str]:
    """Publish an image of ``LAYERS``; return the OS machine's manifest, a raw copy of the published disk and the plan of its scripts."""
    repository = {"repository": os.fspath(tmp_path / "repository")}
    package = make_package(os.fspath(tmp_path / "share" / "gold"), spec)
    run("repository", **repository)
    run("connector", **repository, **connector())
    run(
        "os_layer",
        **repository,
        name="Windows 11",
        version="1",
        max_layer_size_gb=size_gb,
        file_share=os.fspath(tmp_path / "share"),
        packaging_disk="gold/gold-w11.ovf",
    )
    for priority, (name, files, delete) in enumerate(LAYERS, 100):
        folder = tmp_path / name
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            os.utime(target, ns=(_MTIME_NS, _MTIME_NS))
        run(
            "app_layer",
            **repository,
            name=name,
            version="1",
            os_layer={"name": "Windows 11"},
            files=os.fspath(folder),
            file_times="keep",
            delete=delete,
            priority=priority,
        )
    run(
        "image_template",
        **repository,
        name="office",
        os_layer={"name": "Windows 11", "version": "1"},
        connector="desktops",
        app_layers=[{"name": name, "version": "1"} for name, _files, _delete in LAYERS],
    )
    simulator.guest("true")
    task = run("layered_image_publish", **repository, **options_of(simulator), templates=["office"])["tasks"][0]
    disk = simulator.disks(task["vm"]["name"])[0]
    raw = os.fspath(tmp_path / "published.raw")
    subprocess.run(["qemu-img", "check", "-q", "-f", "vmdk", disk["path"]], check=True)
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk["path"], raw], check=True)
    assert os.stat(raw).st_size == size_gb << 30
    return package.manifest, raw, "image={}\r\n".format(task["content_digest"].removeprefix("sha256:")[:16])


def expected_tree(base: dict[str, Expected], plan: str) -> dict[str, Expected]:
    """Return the expected tree: that of the OS machine, with the layers applied in order in plain Python."""
    tree = {path: dataclasses.replace(facts) for path, facts in base.items()}
    spelled = {path.upper(): path for path in tree}
    for _name, files, delete in LAYERS:
        for path in delete:
            gone = path.replace("\\", "/").upper()
            for folded in [folded for folded in spelled if folded == gone or folded.startswith(gone + "/")]:
                _forget(tree, spelled.pop(folded))
        for path, content in sorted(files.items()):
            parts = path.split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder.upper() not in spelled:
                    _add(tree, spelled, folder, "directory", None)
            _add(tree, spelled, path, "file", content)
    # Every image of a template has a plan of the scripts that run in it.
    for path in ("Windows/Setup", "Windows/Setup/scripts", "Windows/Setup/scripts/image"):
        if path.upper() not in spelled:
            _add(tree, spelled, path, "directory", None, PLACED_TIME)
    _add(tree, spelled, "Windows/Setup/scripts/image/plan.txt", "file", plan.encode(), PLACED_TIME)
    return tree


def _forget(tree: dict[str, Expected], path: str) -> None:
    gone = tree.pop(path)
    first = gone.link_target or path
    others = [other for other, facts in tree.items() if facts.link_target == first or other == first]
    if gone.link_target is None and others:
        # A different name of the file carries its facts from now on.
        heir = others[0]
        tree[heir] = dataclasses.replace(gone, short_name=tree[heir].short_name, link_target=None)
        for other in others[1:]:
            tree[other] = dataclasses.replace(tree[other], link_target=heir)
        first = heir
    if others and first in tree:
        tree[first] = dataclasses.replace(tree[first], names=tree[first].names - 1)


def _add(
    tree: dict[str, Expected], spelled: dict[str, str], path: str, kind: str, content: bytes | None, time: int = _TIME
) -> None:
    parent, _slash, name = path.rpartition("/")
    full = f"{spelled[parent.upper()]}/{name}" if parent else name
    short_name = None
    if path.upper() in spelled:
        short_name = tree[spelled[path.upper()]].short_name
        _forget(tree, spelled[path.upper()])
    spelled[path.upper()] = full
    security = sddl.inherit(
        bytes.fromhex(tree[spelled[parent.upper()]].security), kind == "directory", owner="BA"
    ).hex()
    size, sha256 = (len(content), hashlib.sha256(content).hexdigest()) if content is not None else (0, None)
    tree[full] = Expected(
        kind,
        _ARCHIVE if kind == "file" else _DIRECTORY,
        time,
        time,
        time,
        time,
        security,
        size,
        sha256,
        short_name,
        names=1,
    )


@pytest.mark.parametrize(("size", "size_gb"), [("small", 1), ("full", 24)])
def test_published_disk_read_by_independent_readers_equals_layers(tmp_path, simulator, size, size_gb):
    manifest, raw, plan = publish(tmp_path, simulator, Spec(size), size_gb)
    offset = manifest.partition()["offset"]
    expected = expected_tree(manifest.files, plan)
    found = read_volume(raw, offset, (size_gb << 30) - offset)
    assert differences(expected, found)[:20] == []
    _check_volume(raw, offset)


def _check_volume(raw: str, offset: int) -> None:
    """phantom-trace-ntfs and ntfsfix report no problem."""
    program = os.path.join(os.path.dirname(sys.executable), "phantom-trace")
    answer = subprocess.run(
        [program, raw, "--offset", str(offset), "--json"], check=False, capture_output=True, text=True
    )
    report = json.loads(answer.stdout)
    assert not report["findings"], report["findings"][:5]
    table = json.loads(subprocess.run(["sfdisk", "--json", raw], check=True, capture_output=True, text=True).stdout)[
        "partitiontable"
    ]
    partition = next(entry for entry in table["partitions"] if entry["start"] * table.get("sectorsize", 512) == offset)
    volume = raw + ".ntfs"
    with open(raw, "rb") as source, open(volume, "wb") as target:
        length, sector = partition["size"] * 512, 1 << 20
        target.truncate(length)
        position = 0
        while position < length:
            try:
                start = os.lseek(source.fileno(), offset + position, os.SEEK_DATA) - offset
            except OSError:
                break
            end = min(os.lseek(source.fileno(), offset + start, os.SEEK_HOLE) - offset, length)
            position = start
            while position < end:
                position += os.pwrite(
                    target.fileno(), os.pread(source.fileno(), min(sector, end - position), offset + position), position
                )
    answer = subprocess.run(["ntfsfix", "-n", volume], check=False, capture_output=True, text=True)
    assert answer.returncode == 0 and "Checking the alternate boot sector... OK" in answer.stdout, answer.stdout
    os.unlink(volume)
