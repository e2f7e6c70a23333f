# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a self-test: what its steps share, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ..catalog.connector_document import ConnectorDocument
from ..common.errors import InternalError, TimedOut
from ..common.findings import FAIL, PASS, WARN
from ..common.progress import Progress, silent
from ..publish.machine.placement import Target
from ..vsphere.inventory.inventory import Placement
from ..vsphere.session import Session
from ..vsphere.vm import Snapshot
from .image import DiskImage
from .redaction import Redactor


@dataclass(frozen=True, kw_only=True)
class SelfTestRequest:
    """A self-test. ``size`` is the number of bytes to upload, ``folder`` a folder on the composer for twice as many bytes.

    ``redactor`` knows the options of the connection. ``timeout`` is in seconds.
    """

    connect: Callable[[], Session]
    connector: ConnectorDocument
    redactor: Redactor
    folder: str
    size: int = 64 << 20
    keep_vm_on_failure: bool = False
    timeout: float = 3600


@dataclass(slots=True)
class Step:
    """A step of a run. ``size`` is the number of bytes that were moved or compared, None if this has no meaning."""

    name: str
    result: str = PASS
    seconds: float = 0.0
    size: int | None = None
    found: str = ""


class Steps:
    """The steps in the order in which they began; a step ends when the next step begins."""

    def __init__(self) -> None:
        self.rows: list[Step] = []
        self._began = 0.0
        self._open = False

    @property
    def current(self) -> str:
        """The name of the step that began last."""
        return self.rows[-1].name if self.rows else ""

    def begin(self, name: str) -> None:
        """End the current step, and begin the next."""
        self.end()
        self.rows.append(Step(name))
        self._began, self._open = time.monotonic(), True

    def end(self, *, failed: bool = False) -> None:
        """End the current step, if a step is open."""
        if self._open:
            self.rows[-1].seconds = time.monotonic() - self._began
            self._open = False
            if failed:
                self.rows[-1].result = FAIL

    def measure(self, size: int) -> None:
        """Record the number of bytes of the current step."""
        self.rows[-1].size = size

    def note(self, found: str, *, warn: bool = False) -> None:
        """Record what the current step found."""
        self.rows[-1].found = found
        if warn:
            self.rows[-1].result = WARN


@dataclass(kw_only=True)
class RunState:
    """What the steps of one run share. ``created``: the test VM may exist. ``left_behind`` has paths of VMs that were not removed."""

    request: SelfTestRequest
    name: str
    check_mode: bool = False
    sink: Progress = silent
    steps: Steps = field(default_factory=Steps)
    facts: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    connection: Session | None = None
    target: Target | None = None
    placement: Placement | None = None
    image: DiskImage | None = None
    created: bool = False
    vm: Any = None
    snapshot: Snapshot | None = None
    disks: list[str] = field(default_factory=list)
    deadline: float = 0.0
    files: list[BinaryIO] = field(default_factory=list)

    @property
    def session(self) -> Session:
        """The session, in steps after the login."""
        return _known(self.connection)

    @property
    def found_target(self) -> Target:
        """The target, in steps after its look-up."""
        return _known(self.target)

    @property
    def found_placement(self) -> Placement:
        """The location of the test VM, in steps after its look-up."""
        return _known(self.placement)

    @property
    def test_image(self) -> DiskImage:
        """The disk to upload, in steps after it was written."""
        return _known(self.image)

    def begin(self, step: str) -> None:
        """Begin a step. Raises TimedOut when the time limit of the run is over."""
        self.steps.begin(step)
        self.progress(step, 0, 100)

    def progress(self, step: str, done: int, total: int | None) -> None:
        """Pass progress on. Raises TimedOut when the time limit of the run is over."""
        if self.deadline and time.monotonic() > self.deadline:
            raise TimedOut(
                f"The self-test took longer than {self.request.timeout:g} s.",
                code="selftest.timed_out",
                hint="Check the tasks in vCenter. If the site is slow, increase the option timeout or reduce the option size_mb.",
            )
        self.sink(step, done, total)

    def warn(self, sentence: str) -> None:
        """Add a warning to the run and to the current step."""
        self.warnings.append(sentence)
        self.steps.rows[-1].result = WARN

    def keep_open(self, file: BinaryIO) -> BinaryIO:
        """Close a file at the end of the run."""
        self.files.append(file)
        return file


def _known(value: Any) -> Any:
    if value is None:
        raise InternalError("A step of the self-test began before the step that it depends on.", code="selftest.order")
    return value
