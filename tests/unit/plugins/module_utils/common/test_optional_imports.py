# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Effects of importing the optional libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import optional_imports
from ansible_collections.strata.layering.plugins.module_utils.common.errors import MissingLibrary

CODE = f"""
import json, os
from {optional_imports.__name__} import np
print(json.dumps([int(np.arange(4).sum()), len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS")]))
"""


@pytest.mark.parametrize("threads", [None, "1"])
def test_numpy_import_starts_no_threads_and_keeps_the_environment(threads):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if threads:
        environment["OPENBLAS_NUM_THREADS"] = threads
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [6, 1, threads]


def test_missing_library_raises_at_its_first_use():
    library = optional_imports._optional("a_module_that_does_not_exist", "its-package")
    with pytest.raises(MissingLibrary) as caught:
        library.function()
    assert caught.value.code == "common.missing_library"
    assert caught.value.details == {"library": "its-package"}
