# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of the fault tests: a vCenter, a repository, and composers that run in child processes.

The composers' waits are short, so that a call that always fails costs seconds instead of minutes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

from ansible_collections.strata.layering.plugins.module_utils.operations.layered_image_publish import (
    LayeredImagePublishOptions,
    publish_templates,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.ovf_export import (
    OvfExportOptions,
    ensure_ovf_package,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.tests.integration.faults.composer import (
    Composer,
    RunResult,
    module_parameters,
)
from ansible_collections.strata.layering.tests.integration.faults.transfer_bench import TransferBench
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.least_privilege import restrict
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.simulator import Simulator

TEMPLATE = "office"
#: The folder of the exported VM, and the beginning of its name.
EXPORTED = "gold"
#: Seconds without a progress report after which vCenter ends a lease. A composer on a busy computer must be able to
#: report in time.
LEASE_TIMEOUT = 3.0
PATIENCE = Patience(calls=2, busy=6, stall=6, keep_alive=0.2, lease=12)
#: For a composer that waits until the test kills it or releases a rule.
ENDLESS = Patience(calls=120, stall=120, keep_alive=0.2, lease=120)

PUBLISH, REPLACE, EXPORT = "publish", "replace", "export"

_LOCATION = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"}
_OS_LAYER = {"name": "Windows 11", "version": "1.0"}
_PUBLISH_OPTIONS = {"templates": [TEMPLATE], "retries": 1, "retry_pause": 0, "shutdown_timeout": 20}


class CaseEnvironment:
    """The environment of one case: its own repository and share, and a vCenter in its initial state."""

    def __init__(self, bench: FaultBench, folder: pathlib.Path) -> None:
        self.simulator = simulator = bench.simulator
        self.repository = folder / "repository"
        self.share = folder / "share"
        self._options = simulator.options() | {"ca_path": str(simulator.ca_file)}
        shutil.copytree(bench.initial_repository, self.repository)
        self.share.mkdir()
        self.exported_vm = bench.exported_vm
        self.keep: int | None = None
        self._settings = simulator.settings()

    def start(
        self,
        operation: str,
        *,
        patience: Patience = PATIENCE,
        before: Callable[[], None] | None = None,
        **options: object,
    ) -> Composer:
        """Start ``PUBLISH``, ``REPLACE`` or ``EXPORT``; ``before`` is called in the new process first."""
        function = self.export if operation == EXPORT else self.publish
        return function(patience=patience, before=before, **options)

    def publish(
        self, *, patience: Patience = PATIENCE, before: Callable[[], None] | None = None, **options: object
    ) -> Composer:
        """Start publishing the template."""
        values = module_parameters(
            "layered_image_publish",
            **self._options | _PUBLISH_OPTIONS | {"repository": str(self.repository), "keep": self.keep} | options,
        )
        publish_options = LayeredImagePublishOptions.from_params(values)
        connection = dataclasses.replace(publish_options.connection, patience=patience)
        publish_options = dataclasses.replace(publish_options, connection=connection)
        return Composer(lambda: publish_templates(publish_options, check_mode=False), before)

    def export(
        self, *, patience: Patience = PATIENCE, before: Callable[[], None] | None = None, **options: object
    ) -> Composer:
        """Start exporting the VM."""
        values = module_parameters(
            "ovf_export", **self._options | {"name": self.exported_vm, "file_share": str(self.share)} | options
        )
        export_options = OvfExportOptions.from_params(values)
        connection = dataclasses.replace(export_options.connection, patience=patience)
        export_options = dataclasses.replace(export_options, connection=connection)
        return Composer(lambda: ensure_ovf_package(export_options, check_mode=False), before)

    def prepare_replacing(self) -> None:
        """Publish the template, change it, and keep no older images from then on: the next publish replaces the VM."""
        ended = self.publish().wait()
        assert ended.succeeded, ended
        FaultBench.add_template(self.repository, "1.1")
        self.keep = 0
        self.simulator.clear_journal()

    def wait_for_hit(self, rule: int, timeout: float = 60) -> None:
        """Wait until a rule has acted."""
        deadline = time.monotonic() + timeout
        while not self.hits(rule):
            assert time.monotonic() < deadline, "the call was never made"
            time.sleep(0.01)

    def remove_faults(self) -> None:
        """Remove all rules and restore the settings."""
        self.simulator.rules.clear()
        self.simulator.settings(**self._settings)

    def hits(self, rule: int) -> int:
        """Return how many times a rule has acted."""
        return next(found["hits"] for found in self.simulator.rules.list() if found["id"] == rule)


class FaultBench:
    """The vCenter and the repository with which every case starts, or ``transfers``; a context manager."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = pathlib.Path()
        self.initial_repository = pathlib.Path()
        self.exported_vm = ""
        self._transfers: TransferBench | None = None

    def __enter__(self) -> FaultBench:
        with self._stack:
            self._folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="strata-faults-")))
            self.initial_repository = self._folder / "initial"
            self._fill_repository()
            # Disks move to and from a host that has its own certificate, whose thumbprint vCenter announces.
            self.simulator = self._stack.enter_context(Simulator(lease_timeout=LEASE_TIMEOUT, separate_host=True))
            restrict(self.simulator)
            self._publish_exported_vm()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def transfers(self) -> TransferBench:
        """The registry and the two sites of the cases of transfers, made when the first case needs them."""
        if self._transfers is None:
            self._transfers = self._stack.enter_context(TransferBench(self.initial_repository, TEMPLATE))
        return self._transfers

    @contextlib.contextmanager
    def environment(self) -> Iterator[CaseEnvironment]:
        """Reset vCenter and yield the environment for one case."""
        self.simulator.reset((EXPORTED, self.exported_vm))
        # Otherwise the number of calls would depend on the speed of the computer; the table of busy VMs has this fault.
        self.simulator.settings(settle_delay_ms=0)
        self.simulator.guest(mode="exit")
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield CaseEnvironment(self, folder)
        finally:
            shutil.rmtree(folder)

    def add_layer(self, repository: pathlib.Path, version: str) -> None:
        """Create a version of the app layer; the same version always has the same content."""
        folder = self._folder / "files" / version
        tool = folder / "Program Files" / "Tool"
        tool.mkdir(parents=True, exist_ok=True)
        (tool / "tool.txt").write_text(version)
        run(
            "app_layer",
            repository=str(repository),
            name="Tool",
            version=version,
            os_layer={"name": "Windows 11"},
            files=str(folder),
        )

    @staticmethod
    def add_template(repository: pathlib.Path, version: str, **options: object) -> None:
        """Create the template, or change it, so that it has this version of the app layer."""
        layers = [{"name": "Tool", "version": version}]
        run(
            "image_template",
            repository=str(repository),
            name=TEMPLATE,
            os_layer=_OS_LAYER,
            connector="desktops",
            app_layers=layers,
            **options,
        )

    def _fill_repository(self) -> None:
        """Create a repository with a template that has an OS layer and an app layer."""
        share = self._folder / "os"
        make_package(str(share / "gold"), Spec("small"))
        repository = {"repository": str(self.initial_repository)}
        run("repository", **repository)
        run(
            "connector",
            **repository,
            name="desktops",
            vm_template="windows-template",
            **_LOCATION,
            folder="Images/Desktops",
        )
        run(
            "os_layer",
            **repository,
            **_OS_LAYER,
            max_layer_size_gb=1,
            file_share=str(share),
            packaging_disk="gold/gold-w11.ovf",
        )
        for version in ("1.0", "1.1"):
            self.add_layer(self.initial_repository, version)
        self.add_template(self.initial_repository, "1.0")

    def _publish_exported_vm(self) -> None:
        """Publish the VM that is exported, into its own folder."""
        with self.environment() as environment:
            repository = {"repository": str(environment.repository)}
            run(
                "connector", **repository, name="desktops", vm_template="windows-template", **_LOCATION, folder=EXPORTED
            )
            self.add_template(environment.repository, "1.0", vm_name=EXPORTED)
            ended: RunResult = environment.publish().wait()
            assert ended.succeeded, ended
            self.exported_vm = ended.result["tasks"][0]["vm"]["name"]
