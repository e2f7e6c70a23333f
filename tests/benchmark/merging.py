# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry: a large hive read, merged and written, the SYSTEM hive of the sample, and many layers merged."""

from __future__ import annotations

import os

from ...plugins.module_utils.disk.block_device import FileDevice, Window
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.windows.installation import CONFIG, read_file
from .bench import Bench
from .rows import MIB, Row, Target, megabytes, seconds

_LARGE = "A synthetic SOFTWARE hive with three values in each key; seconds of reading hive and delta, merging, applying and serializing."
_SYSTEM = (
    "The SYSTEM hive on the disk of the sample OS machine: read from memory with every value, and written to memory."
)
_LAYERS = "Each layer shares half of its paths and keys with the other layers. From indexes and deltas in memory to the merged tree and the merged delta."


def merging(bench: Bench) -> list[Row]:
    """Measure time and memory."""
    return [*_large(bench), *_system(bench), *_layers(bench)]


def _large(bench: Bench) -> list[Row]:
    keys, changed = (2_000, 50) if bench.quick else (200_000, 5_000)
    with bench.file("SOFTWARE") as hive, bench.file("SOFTWARE.delta") as delta:
        bench.job("make_hive", output=hive, delta=delta, keys=keys, changed=changed)
        done, result = bench.job("merge_hive", hive=hive, delta=delta)
    parts = ", ".join(f"{name} {seconds(result[name])}" for name in ("read", "merge", "write"))
    total = sum(result[name] for name in ("read", "merge", "write"))
    return [
        Row(
            "registry",
            f"hive of {keys} keys, {changed} keys changed",
            seconds(total),
            "",
            total,
            Target(False, 15, " s"),
            done.memory,
            f"{megabytes(result['size'])}: {parts}",
            _LARGE,
        ),
        Row(
            "registry",
            "peak memory",
            f"{done.memory / MIB:.0f} MiB",
            "",
            done.memory / MIB,
            Target(False, 1024, " MiB"),
        ),
    ]


def _system(bench: Bench) -> list[Row]:
    raw, manifest = bench.inputs.raw_disk()
    partition = manifest.partition()
    with bench.file("SYSTEM") as path:
        with (
            FileDevice(raw) as device,
            Volume.mount(Window(device, partition["offset"], partition["size"])) as volume,
            open(path, "wb") as out,
        ):
            out.write(read_file(volume, f"{CONFIG}/SYSTEM", 1 << 30) or b"")
        size = os.stat(path).st_size
        done, result = bench.job("rewrite_hive", hive=path)
    return [
        Row(
            "registry",
            "SYSTEM read",
            seconds(result["read"]),
            "",
            result["read"],
            Target(False, 0.5, " s"),
            None,
            megabytes(size),
            _SYSTEM,
        ),
        Row(
            "registry",
            "SYSTEM written",
            seconds(result["write"]),
            "",
            result["write"],
            Target(False, 1.5, " s"),
            done.memory,
            megabytes(size),
            _SYSTEM,
        ),
    ]


def _layers(bench: Bench) -> list[Row]:
    layers, count = (3, 50) if bench.quick else (10, 5_000)
    done, result = bench.job("merge_layers", layers=layers, count=count)
    subject = f"{layers} layers of {count}"
    return [
        Row(
            "registry",
            f"{subject} files merged",
            seconds(result["files"]),
            "",
            None,
            None,
            None,
            f"{result['paths']} paths",
            _LAYERS,
        ),
        Row(
            "registry",
            f"{subject} keys merged",
            seconds(result["keys"]),
            "",
            None,
            None,
            done.memory,
            f"{result['merged_keys']} keys",
            _LAYERS,
        ),
    ]
