# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the vectors of the decoders of CompactOS: data that libwim compressed.

    wof_vectors.py    writes tests/unit/plugins/module_utils/ntfs/wof/data/vectors.json

Run it with the environment of the tests, which finds the collection. It needs libwim (Debian: wimtools).
"""

from __future__ import annotations

import base64
import json
import pathlib

from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof.container import ALGORITHMS
from ansible_collections.strata.layering.tests.support.wof import Wimlib, plain_samples

_TARGET = pathlib.Path(__file__).parents[1] / "unit/plugins/module_utils/ntfs/wof/data/vectors.json"
#: Bytes of plain data and the samples (all without names), by algorithm: full chunks of everything would make the file large.
_SELECTED: dict[str, list[tuple[int, tuple[str, ...]]]] = {
    "XPRESS4K": [(4096, ())],
    "XPRESS8K": [(8192, ("text", "zeros"))],
    "XPRESS16K": [(16384, ("zeros", "period of 700")), (9000, ("text",))],
    "LZX": [(5000, ()), (32768, ("zeros", "period of 700", "all values")), (12_000, ("code",))],
}


def main() -> None:
    """Compress the samples with each algorithm and write them."""
    wimlib = Wimlib()
    vectors = []
    for number, algorithm in ALGORITHMS.items():
        compress = wimlib.compressor(number)
        for size, names in _SELECTED[algorithm.name]:
            for name, plain in plain_samples(size).items():
                data = compress(plain) if not names or name in names else None
                if data is not None:
                    encoded = base64.b64encode(data).decode()
                    vectors.append({"algorithm": number, "size": size, "sample": name, "data": encoded})
    _TARGET.write_text(json.dumps(vectors, indent=0) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
