# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing to the simulated vSphere over TLS: cost of a changed layer, upload speed, memory."""

from __future__ import annotations

from . import peers
from .bench import Bench
from .composing import TEMPLATE, stocked
from .measure import Run, settle
from .rows import MIB, Row, Target, megabytes, seconds
from .vsphere import simulated

_IMAGE = "ten-layers"
_CHANGED = "All files of the layer are replaced. Re-compressed: every 64 KiB grain of the disk that differs afterwards."
_UPLOAD = "Upload: from ImportVApp to the closed lease, with TLS; client and simulator share the processors."


def publishing(bench: Bench) -> list[Row]:
    """Measure incremental publishing on the base, then memory and speed for both bases."""
    with simulated(bench) as (_simulator, connection):
        rows = _incremental(bench, connection)
        for name in ("base", "large"):
            rows += _whole(bench, name, connection)
    return rows


def _whole(bench: Bench, name: str, connection: dict) -> list[Row]:
    path, _layer = stocked(bench, name)
    settle()
    done, result = bench.job("publish", repository=path, name=TEMPLATE, connection=connection)
    uploaded, took = result["bytes"]["uploaded"], result["timings"]["upload"]
    with bench.file("image.vmdk") as image, bench.file("copy.vmdk") as copy:
        bench.job("write_image", repository=path, name=TEMPLATE, output=image, sync=True)
        theirs = peers.copy(image, copy, sync=False)
    return [
        Row(
            "publish",
            f"upload of the {name} image",
            f"{seconds(took)}, {uploaded / took / 1e6:.0f} MB/s",
            f"cp {seconds(theirs.seconds)}",
            theirs.seconds / took,
            None,
            done.memory,
            megabytes(uploaded),
            _UPLOAD,
        ),
        Row(
            "publish",
            f"peak memory, {name} disk",
            f"{done.memory / MIB:.0f} MiB",
            "",
            done.memory / MIB,
            Target(False, 400, " MiB"),
        ),
    ]


def _incremental(bench: Bench, connection: dict) -> list[Row]:
    """Publish ten app layers, then a changed version of a single layer."""
    path = bench.repository("base")
    others, count, size = (2, 5, 10_000) if bench.quick else (9, 200, 100_000)
    changed = (10, 5_000) if bench.quick else (100, 50_000)
    layers = [
        [f"App {number}", "1.0", bench.inputs.programs(f"App {number}", 10_000 * number, count, size)]
        for number in range(1, others + 1)
    ]
    apps = [[name, version] for name, version, _folder in layers]
    bench.job("app_layers", repository=path, layers=layers)
    rows = []
    for kind, name, (files, length) in (("small", "Small App", changed), ("tiny", "Tiny App", (1, 10_000))):
        versions = [
            ["1.0", bench.inputs.programs(name, 200_000, files, length)],
            ["1.1", bench.inputs.programs(name, 300_000, files, length)],
        ]
        newest = bench.job(
            "app_layers", repository=path, layers=[[name, version, folder] for version, folder in versions]
        )[1]["layers"][1]
        results: list[tuple[Run, dict]] = []
        for version, _folder in versions:
            bench.job("template", repository=path, name=_IMAGE, apps=[*apps, [name, version]])
            settle()
            results.append(bench.job("publish", repository=path, name=_IMAGE, connection=connection))
        statistics = bench.job("statistics", repository=path, name=_IMAGE)[1]
        rows += _changed(
            f"{kind} layer ({files} x {length // 1000} kB) of {others + 1} changed",
            newest,
            statistics,
            results,
            judged=kind == "small",
        )
        bench.job("forget_images", repository=path)
    return rows


def _changed(
    subject: str, layer: dict, statistics: dict, results: list[tuple[Run, dict]], *, judged: bool
) -> list[Row]:
    (first, whole), (again, part) = results
    target = Target(False, 1.5) if judged else None
    note = _CHANGED if statistics["incremental"] else "The image was composed from its base again."
    return [
        Row(
            "publish",
            f"{subject}: bytes re-compressed",
            megabytes(statistics["compressed_bytes"]),
            f"layer's archive {megabytes(layer['size'])}",
            statistics["compressed_bytes"] / layer["size"],
            target,
            again.memory,
            f"{statistics['grains']} grains",
            note,
        ),
        Row(
            "publish",
            f"{subject}: the same, uncompressed",
            megabytes(statistics["plain_bytes"]),
            f"layer's files {megabytes(layer['bytes'])}",
            statistics["plain_bytes"] / layer["bytes"],
            target,
            None,
            "",
            note,
        ),
        Row(
            "publish",
            f"{subject}: whole publish",
            seconds(again.seconds),
            f"first publish {seconds(first.seconds)}",
            first.seconds / again.seconds,
            None,
            again.memory,
            f"compose {seconds(part['timings']['compose'])} after {seconds(whole['timings']['compose'])}, upload {seconds(part['timings']['upload'])}",
        ),
    ]
