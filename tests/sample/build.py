# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: ``python -m ansible_collections.strata.layering.tests.sample.build --size full --output DIR``."""

from __future__ import annotations

import argparse
import os
import sys
import time

from .cache import cached_disk
from .disk import make_disk
from .package import make_package
from .plan import GIB, MIB, VARIANTS, Spec


def main(arguments: list[str] | None = None) -> int:
    """Generate a disk, or with ``--package`` an OVF package, and print its path."""
    parser = argparse.ArgumentParser(prog="sample.build", description="Generate the disk of a sample OS machine.")
    parser.add_argument(
        "--size", choices=("small", "full"), default="small", help="a few hundred files, or a whole wine prefix"
    )
    parser.add_argument(
        "--virtual-size-gb", type=float, default=0, help="size of the disk (default: 0.5 for small, 20 for full)"
    )
    parser.add_argument("--ballast-mb", type=int, default=0, help="further file data")
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        action="append",
        default=[],
        help="a different or damaged OS machine; may be repeated",
    )
    parser.add_argument("--output", metavar="DIR", help="folder for the result (default: only the cache)")
    parser.add_argument("--package", action="store_true", help="write an OVF package instead of a raw disk")
    parser.add_argument("--name", default="gold-w11", help="name of the OS machine")
    options = parser.parse_args(arguments)
    if options.package and not options.output:
        parser.error("--package needs --output")
    spec = Spec(options.size, int(options.virtual_size_gb * GIB), options.ballast_mb * MIB, tuple(options.variant))
    started = time.monotonic()
    if options.package:
        path = make_package(options.output, spec, name=options.name).ovf
    elif options.output:
        os.makedirs(options.output, exist_ok=True)
        path = os.path.join(options.output, f"{options.name}.raw")
        manifest = make_disk(path, spec)
        with open(os.path.join(options.output, f"{options.name}.json"), "w", encoding="utf-8") as stream:
            stream.write(manifest.to_json())
    else:
        path = cached_disk(spec)[0]
    sys.stdout.write(
        f"{path}: {os.stat(path).st_blocks * 512 / MIB:.0f} MiB on disk, {time.monotonic() - started:.1f} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
