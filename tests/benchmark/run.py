# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: measure, print a table, store the figures in ``.cache/bench/result.json``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import traceback

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
if __name__ == "__main__":
    sys.path[:] = [
        path for path in sys.path if os.path.realpath(path or ".") != os.path.dirname(os.path.realpath(__file__))
    ]
    sys.path.insert(0, os.path.join(_ROOT, ".build", "collections"))

# pylint: disable=wrong-import-position
from ansible_collections.strata.layering.tests.benchmark.bench import Bench  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.capturing import capturing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.composing import composing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.decompressing import decompressing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.distributing import distributing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.encoding import encoding  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.horizon import watching  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.importing import importing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.merging import merging  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.preflighting import preflighting  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.publishing import publishing  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.rows import table  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.side_by_side import side_by_side  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.uploading import uploading  # noqa: E402
from ansible_collections.strata.layering.tests.benchmark.writing import writing  # noqa: E402

CASES = {
    "import": importing,
    "encode": encoding,
    "compose": composing,
    "write": writing,
    "preflight": preflighting,
    "publish": publishing,
    "upload": uploading,
    "side-by-side": side_by_side,
    "registry": merging,
    "capture": capturing,
    "decompress": decompressing,
    "horizon": watching,
    "distribute": distributing,
}
_MEMORY = "Memory: sum of the peak resident sizes of a process and its children, sampled every 20 ms; shared pages count twice. Sizes in MB of a million bytes."


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 1 if a case failed, else 0, even if a target is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure the engine side by side with other tools.")
    parser.add_argument("--only", action="append", choices=sorted(CASES), help="run only this case; may be repeated")
    parser.add_argument(
        "--quick", action="store_true", help="use small data; tests that the benchmark works, the figures mean nothing"
    )
    parser.add_argument(
        "--folder",
        default=os.path.join(_ROOT, ".cache", "bench"),
        help="folder of inputs and results (%(default)s)",
    )
    options = parser.parse_args(arguments)
    rows, failed = [], []
    bench = Bench(os.path.abspath(options.folder), quick=options.quick)
    try:
        for name, case in CASES.items():
            if options.only and name not in options.only:
                continue
            sys.stderr.write(f"measuring: {name}\n")
            try:
                rows += case(bench)
            except Exception:  # pylint: disable=broad-exception-caught
                failed.append(name)
                traceback.print_exc()
    finally:
        bench.close()
    architecture = platform.machine()
    about = f"{architecture}, {len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[2]:.1f}, Python {platform.python_version()}"
    document = {
        "measured": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "host": about,
        "quick": options.quick,
    }
    with open(os.path.join(options.folder, "result.json"), "w", encoding="utf-8") as stream:
        json.dump(dict(document, failed=failed, rows=[row.to_dict() for row in rows]), stream, indent=1)
        stream.write("\n")
    sys.stdout.write(f"{about}\n\n{table(rows)}\n{_MEMORY}\n")
    missed = [row for row in rows if row.verdict == "MISSED"]
    sys.stdout.write(f"{sum(row.verdict == 'met' for row in rows)} targets met, {len(missed)} missed\n")
    if failed:
        sys.stdout.write(f"could not be measured: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
