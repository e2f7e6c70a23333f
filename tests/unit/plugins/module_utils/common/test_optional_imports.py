# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What importing libraries does to a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import optional_imports

CODE = f"""
import json, os
from {optional_imports.__name__} import np
print(json.dumps([int(np.arange(4).sum()), len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS")]))
"""


@pytest.mark.parametrize("given", [None, "1"])
def test_numpy_starts_no_threads_and_the_environment_stays(given):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if given:
        environment["OPENBLAS_NUM_THREADS"] = given
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [6, 1, given]
