# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of the faults of transfers: two sites with a repository each, a registry, and composers in child processes."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

from ansible_collections.strata.layering.plugins.module_utils.common.progress import silent
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content import downloads, upload_session
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Patience
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution.layer_transfer import (
    ensure_transferred,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution.transfer_options import (
    LayerTransferOptions,
)
from ansible_collections.strata.layering.tests.integration.faults.composer import Composer, module_parameters
from ansible_collections.strata.layering.tests.integration.faults.transfer_requests import PREFIX, kinds
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.registries import SimulatedRegistry

PUSH, PULL = "push", "pull"
#: The size of a chunk in bytes: the OS layer has several.
CHUNK = 200_000
PATIENCE = Patience(connect=5, read=20, attempts=3, pause=0.01, longest_pause=0.02, throttled=2)
_LOCATION = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"}


class TransferEnvironment:
    """The environment of one case: the registry, and the repositories of the site that pushes and of the site that pulls."""

    def __init__(self, registry: SimulatedRegistry, template: str, folder: pathlib.Path) -> None:
        self.registry = registry
        self.template = template
        self.pushing, self.pulling = folder / "pushing", folder / "pulling"

    def repository(self, operation: str) -> pathlib.Path:
        """Return the repository of the site that pushes or pulls."""
        return self.pushing if operation == PUSH else self.pulling

    def start(self, operation: str, *, before: Callable[[], None] | None = None, check: bool = False) -> Composer:
        """Start ``PUSH`` or ``PULL`` of the template with its layers; ``before`` is called in the new process first."""
        login = self.registry.login
        values = module_parameters(
            "layer_transfer",
            repository=str(self.repository(operation)),
            state="pushed" if operation == PUSH else "pulled",
            registry=f"{login.address}/{PREFIX}",
            registry_username=login.username,
            registry_password=login.password,
            plain_http=True,
            templates=[self.template],
        )
        options = LayerTransferOptions.from_params(values)
        assert options.remote.registry is not None
        # One stream and one sender: the number of requests does not depend on the speed of the computer.
        connection = dataclasses.replace(options.remote.registry, patience=PATIENCE, chunk_size=CHUNK, streams=1)
        options = dataclasses.replace(options, remote=dataclasses.replace(options.remote, registry=connection))

        def prepare() -> None:
            # A chunk may have any size here, so that small layers have several.
            upload_session.CHUNK_UNIT = 1
            downloads.SEGMENT = CHUNK
            if before is not None:
                before()

        return Composer(lambda: ensure_transferred(options, check_mode=check, progress=silent), prepare)


class TransferBench:
    """The registry and the repositories with which every case starts; a context manager.

    ``repository`` has the template ``template`` with an OS layer and an app layer.
    """

    def __init__(self, repository: pathlib.Path, template: str) -> None:
        self._repository = repository
        self._template = template
        self._stack = contextlib.ExitStack()
        self._folder = pathlib.Path()

    def __enter__(self) -> TransferBench:
        with self._stack:
            temporary = tempfile.TemporaryDirectory(prefix="strata-transfers-")
            self._folder = pathlib.Path(self._stack.enter_context(temporary))
            self.registry = self._stack.enter_context(SimulatedRegistry(self._folder / "registry"))
            self._make_initial()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def environment(self, operation: str) -> Iterator[TransferEnvironment]:
        """Yield the environment for one case. The registry is empty before a push and has the template before a pull."""
        self.registry.reset(auth="bearer")
        if operation == PULL:
            shutil.copytree(self._folder / "pushed", self.registry.data, dirs_exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._folder))
        try:
            for site in ("pushing", "pulling"):
                shutil.copytree(self._folder / site, folder / site)
            yield TransferEnvironment(self.registry, self._template, folder)
        finally:
            shutil.rmtree(folder)

    def record(self) -> dict[str, list[list]]:
        """Run both operations without faults and return the fields of the kinds of their requests."""
        found = {}
        for operation in (PUSH, PULL):
            with self.environment(operation) as environment:
                ended = environment.start(operation).wait()
                assert ended.succeeded, ended
                found[operation] = [list(dataclasses.astuple(kind)) for kind in kinds(environment.registry.journal())]
        return found

    def _make_initial(self) -> None:
        shutil.copytree(self._repository, self._folder / "pushing")
        empty = {"repository": str(self._folder / "pulling")}
        run("repository", **empty)
        run("connector", **empty, name="desktops", vm_template="windows-template", **_LOCATION, folder="Images")
        with self.environment(PUSH) as environment:
            ended = environment.start(PUSH).wait()
            assert ended.succeeded, ended
            shutil.copytree(self.registry.data, self._folder / "pushed")
