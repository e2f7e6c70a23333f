# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the benchmark: its folders, its inputs and the repositories that its cases share."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator

from .inputs import Inputs
from .measure import Run, run, settle

_JOBS = __name__.rpartition(".")[0] + ".jobs"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Bench:
    """``folder`` keeps inputs between runs; ``scratch`` below it is emptied before and after a run.

    ``times`` is the number of repetitions of short measurements.
    """

    def __init__(self, folder: str, *, quick: bool = False) -> None:
        self.quick = quick
        self.times = 1 if quick else 5
        self.inputs = Inputs(os.path.join(folder, "inputs"), quick=quick)
        self.scratch = os.path.join(folder, "scratch")
        self._imports: dict[str, tuple[Run, dict]] = {}
        os.makedirs(os.path.join(folder, "inputs"), exist_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)

    def close(self) -> None:
        """Remove the files of this run."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def job(self, job: str, **arguments) -> tuple[Run, dict]:
        """Run a job of ``jobs`` in its own process; return the measurement and the job's result."""
        environment = {
            "XDG_CACHE_HOME": os.path.join(self.scratch, "cache"),
            "PYTHONPATH": os.path.join(_ROOT, ".build", "collections"),
        }
        done = run([sys.executable, "-m", _JOBS, job], stdin=json.dumps(arguments), environment=environment)
        return done, json.loads(done.output.strip().splitlines()[-1])

    def repository(self, name: str) -> str:
        """Return the repository into which the OS machine ``name`` was imported, without images."""
        path = os.path.join(self.scratch, f"repository-{name}")
        if name in self._imports:
            self.job("forget_images", repository=path)
        else:
            exported = self.inputs.exported(name)
            self.job("prepare", repository=path)
            settle()
            self._imports[name] = self.job(
                "import_os", repository=path, share=exported.share, package=exported.package, size_gb=exported.size_gb
            )
        return path

    def imported(self, name: str) -> tuple[Run, dict]:
        """Return measurement and result of the import of the OS machine ``name``."""
        if name not in self._imports:
            self.repository(name)
        return self._imports[name]

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[str]:
        """Yield a path in the scratch folder; the file or folder there is removed afterwards."""
        path = os.path.join(self.scratch, name)
        try:
            yield path
        finally:
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
