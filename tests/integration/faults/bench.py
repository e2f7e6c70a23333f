# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where faults are tried: a vCenter, a repository, and composers that run in processes of their own.

A composer is a child process that calls what the module calls, with the parameters that the module would
pass; its waits are short, so that a call that always fails costs a second and not minutes.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ansible.module_utils.testing import patch_module_args

from ansible_collections.strata.layering.plugins.module_utils.common.arguments import connection_of
from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.operations.layered_image_publish import (
    publish_templates,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.ovf_export import ensure_ovf_package
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.simulator import Simulator

TEMPLATE = "office"
#: The folder of the machine that is exported, which its name begins with.
MACHINE = "gold"
#: Seconds without a progress report after which vCenter ends a lease. A composer on a busy computer must be able to report in time.
LEASE_TIMEOUT = 3.0
PATIENCE = Patience(calls=2, stall=6, keep_alive=0.2, lease=12)
#: For a composer that waits until the test kills it or releases a rule.
ENDLESS = Patience(calls=120, stall=120, keep_alive=0.2, lease=120)
#: A composer that runs longer hangs.
_LONGEST = 120

_PLACE = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0"}
_OS_LAYER = {"name": "Windows 11", "version": "1.0"}
_PUBLISH = {"templates": [TEMPLATE], "retries": 1, "retry_pause": 0, "shutdown_timeout": 20}
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Ended:
    """How a composer ended: ``code`` is that of its error, None when it succeeded, ``killed`` when it was."""

    code: str | None = None
    message: str = ""
    hint: str | None = None
    changed: bool = False
    warnings: tuple[str, ...] = ()
    result: dict = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.code is None


KILLED = "killed"
#: An error that is none of the collection's own.
UNEXPECTED = "unexpected"


class Composer:
    """A process that does one piece of work, in a process group of its own."""

    def __init__(self, work: Callable[[], object], before: Callable[[], None] | None = None) -> None:
        reader, writer = _FORK.Pipe(duplex=False)
        self._reader = reader
        self._process = _FORK.Process(target=_child, args=(writer, work, before), daemon=False)
        self._process.start()
        writer.close()

    def kill(self) -> None:
        """Kill the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float = _LONGEST) -> Ended:
        """Wait until it has ended; AssertionError when it hangs."""
        if not self._reader.poll(timeout):
            self.kill()
            self._process.join()
            raise AssertionError(f"The composer had not ended after {timeout} seconds.")
        try:
            ended = self._reader.recv()
        except EOFError:
            ended = Ended(KILLED)
        self._process.join()
        # Whatever it started must not outlive it.
        self.kill()
        return ended


def _child(writer: Connection, work: Callable[[], object], before: Callable[[], None] | None) -> None:
    os.setpgid(0, 0)
    if before is not None:
        before()
    try:
        outcome = work()
        ended = Ended(changed=outcome.changed, warnings=tuple(outcome.warnings), result=outcome.result)
    except StrataError as error:
        ended = Ended(error.code, error.message, error.hint, result=error.details)
    except Exception as error:  # pylint: disable=broad-exception-caught
        ended = Ended(UNEXPECTED, f"{error.__class__.__name__}: {error}")
    writer.send(ended)
    writer.close()


class _Parsed(Exception):
    """Carries a module's parameters out of it."""


def parameters(module: str, **options: object) -> dict:
    """The parameters of a module with its defaults, as the engine gets them."""
    imported = importlib.import_module(f"ansible_collections.strata.layering.plugins.modules.{module}")
    original = imported.AnsibleModule

    def parse(**keywords: object) -> None:
        raise _Parsed(original(**keywords).params)

    imported.AnsibleModule = parse
    try:
        with patch_module_args(dict(options, _ansible_check_mode=False, _ansible_diff=False)):
            imported.main()
    except _Parsed as parsed:
        return parsed.args[0]
    finally:
        imported.AnsibleModule = original
    raise AssertionError(f"{module} made no AnsibleModule")


class CaseEnvironment:
    """What one case has for itself: a repository, a share, and a vCenter as if it were new."""

    def __init__(self, bench: Bench, folder: pathlib.Path) -> None:
        self.simulator = simulator = bench.simulator
        self.repository = folder / "repository"
        self.share = folder / "share"
        self._options = simulator.options() | {"ca_path": str(simulator.ca_file)}
        shutil.copytree(bench.stock, self.repository)
        self.share.mkdir()
        self.machine = bench.machine
        self.keep: int | None = None
        self._settings = simulator.settings()

    def publish(
        self, *, patience: Patience = PATIENCE, before: Callable[[], None] | None = None, **options: object
    ) -> Composer:
        """Start publishing the template; ``before`` is called in the process first."""
        given = parameters(
            "layered_image_publish",
            **self._options | _PUBLISH | {"repository": str(self.repository), "keep": self.keep} | options,
        )
        connection = connection_of(given) | {"patience": patience}
        return Composer(lambda: publish_templates(given, connection=connection, check_mode=False), before)

    def export(
        self, *, patience: Patience = PATIENCE, before: Callable[[], None] | None = None, **options: object
    ) -> Composer:
        """Start exporting the machine."""
        given = parameters(
            "ovf_export", **self._options | {"name": self.machine, "file_share": str(self.share)} | options
        )
        connection = connection_of(given) | {"patience": patience}
        return Composer(lambda: ensure_ovf_package(given, connection=connection, check_mode=False), before)

    def replace(self, **options: object) -> Composer:
        """Start publishing another image of the template, whose machine takes the place of the one that ``prepare_replacing`` made."""
        return self.publish(**options)

    def prepare_replacing(self) -> None:
        """Publish the template as it is and change it; older machines are not kept from then on."""
        ended = self.publish().wait()
        assert ended.complete, ended
        Bench.add_template(self.repository, "1.1")
        self.keep = 0
        self.simulator.clear_journal()

    def wait_for_hit(self, rule: int, timeout: float = 60) -> None:
        """Wait until a rule has acted."""
        deadline = time.monotonic() + timeout
        while not self.hits(rule):
            assert time.monotonic() < deadline, "the call was never made"
            time.sleep(0.01)

    def calm(self) -> None:
        """Nothing fails any more."""
        self.simulator.rules.clear()
        self.simulator.settings(**self._settings)

    def hits(self, rule: int) -> int:
        """How often a rule has acted."""
        return next(found["hits"] for found in self.simulator.rules.list() if found["id"] == rule)


class Bench:
    """The vCenter and what every case begins with; a context manager."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = pathlib.Path()
        self.stock = pathlib.Path()
        self.machine = ""

    def __enter__(self) -> Bench:
        with self._stack:
            self._folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="strata-faults-")))
            self.stock = self._folder / "stock"
            self._fill()
            # Disks move to and from a host with a certificate of its own, which vCenter announces.
            self.simulator = self._stack.enter_context(Simulator(lease_timeout=LEASE_TIMEOUT, separate_host=True))
            self._make_machine()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def environment(self) -> Iterator[CaseEnvironment]:
        """A environment for one case."""
        self.simulator.reset((MACHINE, self.machine))
        self.simulator.guest(mode="exit")
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield CaseEnvironment(self, folder)
        finally:
            shutil.rmtree(folder)

    def add_layer(self, repository: pathlib.Path, version: str) -> None:
        """Make a version of the app layer, which always is the same."""
        folder = self._folder / "files" / version
        tool = folder / "Program Files" / "Tool"
        tool.mkdir(parents=True, exist_ok=True)
        (tool / "tool.txt").write_text(version)
        os.utime(tool / "tool.txt", (1_700_000_000, 1_700_000_000))
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
        """Make or change the template so that it has this version of the app layer."""
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

    def _fill(self) -> None:
        """A repository with a template of an OS layer and an app layer."""
        share = self._folder / "os"
        make_package(str(share / "gold"), Spec("small"))
        repository = {"repository": str(self.stock)}
        run("repository", **repository)
        run(
            "connector",
            **repository,
            name="desktops",
            vm_template="windows-template",
            **_PLACE,
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
            self.add_layer(self.stock, version)
        self.add_template(self.stock, "1.0")

    def _make_machine(self) -> None:
        """The machine that is exported is a published one in a folder of its own."""
        with self.environment() as environment:
            repository = {"repository": str(environment.repository)}
            run("connector", **repository, name="desktops", vm_template="windows-template", **_PLACE, folder=MACHINE)
            self.add_template(environment.repository, "1.0", vm_name=MACHINE)
            ended = environment.publish().wait()
            assert ended.complete, ended
            self.machine = ended.result["tasks"][0]["vm"]["name"]
