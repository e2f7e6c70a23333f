# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a Windows OS machine is prepared in and exported from a simulated vSphere, joined with app layers, and published.

``make demo`` runs it. With DEMO_KEEP=1 in the environment the simulator stays on for four hours; the next run stops it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator

from ..sample.cache import cached_disk
from ..sample.plan import Manifest, Spec
from ..support.simulator import Simulator, binary, stop_saved
from . import apps, checks, first_start, os_machine, packaging, page, report, text
from .playbook import PlaybookFailed, Run, run_site

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / ".cache" / "demo"
_CONNECTION = _FOLDER / "simulator.json"
_PAGE = _FOLDER / "index.html"
_OS_MACHINE = "win11-os"
_TITLE = "From an OS machine to a published Windows image"


class _Clock:
    """Says what is being done, and keeps how long it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.taken.append((title, time.monotonic() - started))
        say(f"    {self.taken[-1][1]:5.1f} s  {title}")


def say(line: str = "") -> None:
    """Write a line now; playbooks write into the same output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demo; 0 only when everything is as it should be."""
    keep = os.environ.get("DEMO_KEEP", "") not in ("", "0")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    stop_saved(_CONNECTION)
    work = _FOLDER / "work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "share").mkdir(parents=True)
    simulator = None
    try:
        clock = _Clock()
        say("\n  Before the demo")
        with clock.step("Build the vSphere simulator"):
            binary()
        with clock.step("Make the disk of the OS machine"):
            _disk, sample = cached_disk(Spec(size="full"))
        with clock.step("Make the Windows in which published machines start"):
            guest = first_start.command()
        simulator = _start(guest, keep)
        with clock.step("Import it into the simulator"):
            os_machine.put(simulator, _OS_MACHINE, work)
        with clock.step("Collect the applications"):
            apps.make_all(work / "apps")
            first_start.make_scripts(work / "scripts")
        with clock.step("Install them in machines made from the OS layer"):
            packaging.package_all(_FOLDER, work)
        _demonstrate(simulator, work, sample, clock, keep)
    except (checks.Wrong, PlaybookFailed) as error:
        say(f"\n  The demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if simulator is not None and not keep:
            simulator.stop()
            _CONNECTION.unlink(missing_ok=True)
    return 0


def _start(guest: str, keep: bool) -> Simulator:
    simulator = Simulator(template="windows-template", guest=guest, arguments=("-end-after=4h",) if keep else ())
    simulator.start(detached=keep)
    simulator.save(_CONNECTION)
    return simulator


def _demonstrate(simulator: Simulator, work: pathlib.Path, sample: Manifest, clock: _Clock, keep: bool) -> None:
    environment = {name: value for name, value in simulator.environment().items() if name.startswith("VMWARE_")}
    environment["VMWARE_CA_PATH"] = simulator.ca_file

    say("\n  1. The whole way: site.yml makes what the inventory wants")
    first = run_site(work, environment)
    checks.check_prepared(simulator, _OS_MACHINE)
    started = checks.check_published(first, simulator)
    say("\n  2. Once more: nothing has changed, so nothing happens")
    second = run_site(work, environment)
    checks.check_unchanged(first, second)
    say("\n  3. A new version of one app layer: only that is made and composed anew")
    third = run_site(work, environment, demo_editor_version="1.1")
    started_again = checks.check_published(third, simulator)
    checks.check_new_version(first, third)
    say("\n  The published disk, read by an independent reader")
    with clock.step("Compare its files with those of the layers"):
        machine = third.task["vm"]["name"]
        disk = simulator.disks(machine)[0]["path"]
        count = checks.check_disk(disk, work / "apps", ["maps-2026.3", "house-rules-2.0", "editor-1.1"], sample)
    say(f"            {count} files are what they should be.")
    tables = report.tables(
        work / "repository",
        (first, second, third),
        clock.taken[:-1],
        (started, started_again),
        _places(first, third, work),
    )
    _tell(simulator, tables, keep)


def _places(first: Run, last: Run, work: pathlib.Path) -> list[tuple[str, str]]:
    task = last.task
    return [
        ("datacenter", task["vm"]["datacenter"]),
        ("folder", task["vm"]["path"].rpartition("/")[0]),
        ("virtual machine", task["vm"]["name"]),
        ("snapshot", task["snapshot"]),
        ("datastore path", task["datastore_path"]),
        ("older image", first.task["vm"]["name"]),
        (
            "OVF package",
            str((work / "share" / first.of("ovf_export")[0]["result"]["packaging_disk"]).relative_to(_ROOT)),
        ),
        ("repository", str((work / "repository").relative_to(_ROOT))),
        ("what is wanted", str((pathlib.Path(__file__).parent / "inventory.yml").resolve().relative_to(_ROOT))),
    ]


def _tell(simulator: Simulator, tables: list[report.Table], keep: bool) -> None:
    summary = (
        "The machine win11-os was prepared in a simulated vSphere, exported, imported as an OS layer, joined with three app layers by an image template, "
        "two of them captured from installers, and published as a virtual machine, which ran its scripts and has a snapshot; then nothing changed, "
        "then one app layer had a new version."
    )
    _PAGE.write_text(page.render(_TITLE, summary, tables), encoding="utf-8")
    for table in tables:
        say("\n" + text.render(table))
    say(f"\n  As a page: {_PAGE.relative_to(_ROOT)}")
    if keep:
        say(f"  The simulator goes on at {simulator.url}; user and password are in {_CONNECTION.relative_to(_ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
