# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: prepare and export a Windows OS machine in a simulated vSphere, combine it with app layers, publish the image.

``make demo`` runs it. With DEMO_KEEP=1 in the environment the simulator continues to run for four hours; the next demo stops it.
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
_INVENTORY = pathlib.Path(__file__).resolve().with_name("inventory.yml")
_OS_MACHINE = "win11-os"
#: Layers of the last image, as folders of the applications.
_LAST_LAYERS = ["maps-2026.3", "house-rules-2.0", "editor-1.1"]
_TITLE = "From an OS machine to a published Windows image"
_SUMMARY = (
    "The OS machine win11-os was prepared in a simulated vSphere, exported and imported as an OS layer. "
    "An image template combines it with three app layers, of which two were captured from installers. "
    "The image was published as a VM, which ran its scripts and has a snapshot. "
    "A second run changed nothing; a third run published a new version of one app layer."
)


class _Clock:
    """Print each finished step and keep its duration in seconds."""

    def __init__(self) -> None:
        self.durations: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.durations.append((title, time.monotonic() - started))
        say(f"    {self.durations[-1][1]:5.1f} s  {title}")


def say(line: str = "") -> None:
    """Print a line immediately, because playbooks write to the same output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demo and return 0 only if all checks passed."""
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
        say("\n  Preparations")
        with clock.step("Build the vSphere simulator"):
            binary()
        with clock.step("Generate the disk of the OS machine"):
            _disk, sample = cached_disk(Spec(size="full"))
        with clock.step("Prepare wine, which starts published VMs"):
            guest = first_start.command()
        simulator = _start(guest, keep)
        with clock.step("Create the OS machine in the simulator"):
            os_machine.create(simulator, _OS_MACHINE, work)
        with clock.step("Generate the applications"):
            apps.make_all(work / "apps")
            first_start.make_scripts(work / "scripts")
        with clock.step("Run the installers on packaging disks"):
            packaging.package_all(_FOLDER, work)
        _demonstrate(simulator, work, sample, clock, keep)
    except (checks.CheckFailed, PlaybookFailed) as error:
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
    environment["VMWARE_CA_PATH"] = str(simulator.ca_file)
    prepared = list(clock.durations)

    say("\n  1. First run: site.yml creates everything in the inventory")
    first = run_site(work, environment)
    checks.check_prepared(simulator, _OS_MACHINE)
    first_scripts = checks.check_published(first, simulator)
    say("\n  2. Second run: nothing changed, so nothing is done")
    second = run_site(work, environment)
    checks.check_unchanged(first, second)
    say("\n  3. Third run: one app layer has a new version; only its changes are composed")
    third = run_site(work, environment, demo_editor_version="1.1")
    last_scripts = checks.check_published(third, simulator)
    checks.check_new_version(first, third)
    say("\n  Verification: an independent reader opens the published disk")
    with clock.step("Compare its files with those of the layers"):
        disk = simulator.disks(third.task["vm"]["name"])[0]["path"]
        count = checks.check_disk(disk, work / "apps", _LAST_LAYERS, sample)
    say(f"             {count} files have the expected content.")
    results = report.Results(
        work / "repository",
        (first, second, third),
        prepared,
        (first_scripts, last_scripts),
        _locations(first, third, work),
    )
    _show(report.build(_TITLE, _SUMMARY, results))
    if keep:
        say(
            f"  The simulator continues to run at {simulator.url}; user and password are in {_CONNECTION.relative_to(_ROOT)}."
        )


def _locations(first: Run, last: Run, work: pathlib.Path) -> list[tuple[str, str]]:
    task = last.task
    package = work / "share" / first.of("ovf_export")[0]["result"]["packaging_disk"]
    return [
        ("datacenter", task["vm"]["datacenter"]),
        ("folder", task["vm"]["path"].rpartition("/")[0]),
        ("virtual machine", task["vm"]["name"]),
        ("snapshot", task["snapshot"]),
        ("datastore path", task["datastore_path"]),
        ("image digest", task["digest"]),
        ("first image", first.task["vm"]["name"]),
        ("OVF package", str(package.relative_to(_ROOT))),
        ("repository", str((work / "repository").relative_to(_ROOT))),
        ("inventory", str(_INVENTORY.relative_to(_ROOT))),
    ]


def _show(result: report.Report) -> None:
    _PAGE.write_text(page.render(result), encoding="utf-8")
    for table in result.tables:
        say("\n" + text.render(table))
    say(f"\n  The report as a web page: {_PAGE.relative_to(_ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
