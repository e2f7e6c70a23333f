# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build clients of registries, and distribution 3, from Go modules into .build/tools.

In a shell: ``python -m ansible_collections.strata.layering.tests.support.registry_tools NAME...``. A program whose version
is built already is not built again.
"""

from __future__ import annotations

import fcntl
import sys

from ansible_collections.strata.layering.tests.support.registries import TOOLS
from ansible_collections.strata.layering.tests.support.simulator import run_go

#: The Go packages and their versions. On two cores they take 21 s, 131 s, 500 s and 17 minutes.
PACKAGES = {
    "regctl": "github.com/regclient/regclient/cmd/regctl@v0.11.7",
    "oras": "oras.land/oras/cmd/oras@v1.3.6",
    "registry": "github.com/distribution/distribution/v3/cmd/registry@v3.1.1",
    "cosign": "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.2",
}


def build(name: str) -> None:
    """Build a program unless it is there. Raises RuntimeError."""
    package = PACKAGES[name]
    TOOLS.mkdir(parents=True, exist_ok=True)
    stamp = TOOLS / f"{name}.version"
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (TOOLS / name).is_file() and stamp.exists() and stamp.read_text() == package:
            return
        stamp.unlink(missing_ok=True)
        # The modules may need a newer Go than the simulator: the go command fetches it.
        run = run_go("install", "-trimpath", package, GOBIN=str(TOOLS), GOTOOLCHAIN="auto")
        if run.returncode:
            raise RuntimeError(f"{package} cannot be built: {run.stderr.strip()}")
        stamp.write_text(package)


if __name__ == "__main__":
    for requested in sys.argv[1:]:
        build(requested)
