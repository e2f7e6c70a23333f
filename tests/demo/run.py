# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: prepare and export a Windows OS machine in a simulated vSphere, combine it with app layers, publish the image, push it to a pool.

``make demo`` runs it. With DEMO_KEEP=1 in the environment the simulators continue to run for four hours; the next demo stops them.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable

from ..sample.cache import cached_disk
from ..sample.plan import Manifest, Spec
from ..support import pypi_samples
from ..support.horizon_simulator import HorizonSimulator
from ..support.registries import SimulatedRegistry
from ..support.simulator import Simulator, binary
from . import apps, checks, first_start, horizon, lookaround, os_machine, packaging, page, report, second_site, text
from .playbook import PlaybookFailed, Run, run_playbook
from .steps import Steps

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / ".cache" / "demo"
_PAGE = _FOLDER / "index.html"
_INVENTORY = pathlib.Path(__file__).resolve().with_name("inventory.yml")
_OS_MACHINE = "win11-os"
#: Layers of the last image, as folders of the applications.
_LAST_LAYERS = ["maps-2026.3", "house-rules-2.0", "editor-1.1"]
_TITLE = "From an OS machine to the desktops of a Horizon pool"
_SUMMARY = (
    "The OS machine win11-os was prepared in a simulated vSphere, exported and imported as an OS layer. "
    "An image template combines it with three app layers, of which two were captured from installers. "
    "The image was published as a VM, which ran its scripts and has a snapshot. "
    "It was then pushed to a pool of a simulated Horizon. A second run changed nothing. A third run published a new version of one app layer and "
    "gave it to a single machine of the pool. Then the image was promoted to all machines, and the pool returned to the first image. "
    "A second site pulled the image template from a registry and composed the same image."
)


def main() -> int:
    """Run the demo and return 0 only if all checks passed."""
    keep = os.environ.get("DEMO_KEEP", "") not in ("", "0")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    lookaround.stop(_FOLDER)
    work = _FOLDER / "work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "share").mkdir(parents=True)
    steps = Steps()
    simulator = connection_server = None
    try:
        steps.say("\n  Preparations")
        guest, sample = _prepare(steps, work)
        simulator = _start(guest, keep)
        with steps.step("Create the OS machine in the simulator"):
            os_machine.create(simulator, _OS_MACHINE, work)
        with steps.step("Start the Horizon simulator and create a pool"):
            connection_server = horizon.start(simulator, keep)
            lookaround.save_horizon(_FOLDER, simulator, connection_server)
        _demonstrate(simulator, connection_server, work, sample, steps)
        if keep:
            steps.say("\n".join(lookaround.instructions(_FOLDER, simulator)))
        else:
            steps.say("  To look around in the simulated vSphere and the repository: make demo DEMO_KEEP=1")
    except (checks.CheckFailed, PlaybookFailed) as error:
        steps.say(f"\n  The demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not keep:
            for running in (connection_server, simulator):
                if running is not None:
                    running.stop()
            lookaround.forget(_FOLDER)
    return 0


def _prepare(steps: Steps, work: pathlib.Path) -> tuple[str, Manifest]:
    """Make what the demo needs before vSphere runs; return the guest command of the simulator and the content of the OS machine's disk.

    The three jobs use different programs, so that they run at the same time.
    """

    def simulator() -> None:
        with steps.step("Build the vSphere simulator", 60):
            binary()

    def guest() -> str:
        with steps.step("Prepare wine, which starts published VMs", 30):
            return first_start.command()

    def disks() -> Manifest:
        with steps.step("Download the sample hive of the OS machine"):
            pypi_samples.download("dissect.regf")
        with steps.step("Generate the disk of the OS machine", 60):
            _disk, sample = cached_disk(Spec(size="full"))
        with steps.step("Generate the applications"):
            apps.make_all(work / "apps")
            first_start.make_scripts(work / "scripts")
        with steps.step("Run the installers (wine) on copies of that disk", 60):
            packaging.package_all(_FOLDER, work)
        return sample

    _built, command, sample = steps.together(simulator, guest, disks)
    return command, sample


def _start(guest: str, keep: bool) -> Simulator:
    simulator = Simulator(template="windows-template", guest=guest, arguments=("-end-after=4h",) if keep else ())
    simulator.start(detached=keep)
    lookaround.save(_FOLDER, simulator)
    return simulator


def _demonstrate(
    simulator: Simulator, connection_server: HorizonSimulator, work: pathlib.Path, sample: Manifest, steps: Steps
) -> None:
    def run(playbook: str, **variables: object) -> Run:
        return run_playbook(playbook, work, environment, steps, **variables)

    def pool(moment: str, push: Run | None = None) -> horizon.PoolState:
        seconds = push.seconds_of("horizon_image_push") if push else None
        pools.append(horizon.read(connection_server, simulator, moment, seconds))
        return pools[-1]

    environment = lookaround.connection(_FOLDER, simulator, connection_server)
    prepared = list(steps.durations)
    pools: list[horizon.PoolState] = []
    pool("before")
    steps.say("\n  1. First run: site.yml creates everything in the inventory and pushes the image to the pool")
    first = run("site")
    checks.check_prepared(simulator, _OS_MACHINE)
    first_scripts = checks.check_published(first, simulator)
    old = first.task["vm"]["name"]
    checks.check_all_machines(first.push, pool("first run", first), old)
    steps.say("\n  2. Second run: nothing changed, so nothing is done")
    second = run("site")
    checks.check_unchanged(first, second)
    steps.say(
        "\n  3. Third run: one app layer has a new version; only its changes are composed. One machine tries the image"
    )
    third = run("site", demo_editor_version="1.1", horizon_pools=horizon.entry(state="staged", canary=1))
    last_scripts = checks.check_published(third, simulator)
    checks.check_new_version(first, third)
    new = third.task["vm"]["name"]
    checks.check_pool(third.push, "Staged", pool("staged", third), old, {new: 1, old: horizon.MACHINES - 1})
    steps.say("\n  Verification: an independent reader opens the published disk")
    with steps.step("Compare its files with those of the layers"):
        disk = simulator.disks(third.task["vm"]["name"])[0]["path"]
        count = checks.check_disk(disk, work / "apps", _LAST_LAYERS, sample)
    steps.say(f"             {count} files have the expected content.")
    steps.say("\n  4. The image is promoted to all machines, while a user works on one of them")
    horizon.add_user(connection_server)
    promoted = run("horizon")
    checks.check_all_machines(promoted.push, pool("promoted", promoted), new)
    steps.say("\n  5. Rollback: the pool returns to the image before")
    returned = run("horizon", horizon_pools=horizon.entry(image="previous"))
    checks.check_all_machines(returned.push, pool("rollback", returned), old)
    checks.require(not connection_server.logoffs(), "A push logged a user off.")
    steps.say("\n  6. A second site pulls the image template from a registry and composes the same image")
    site = _second_site(run, work, third.task["template"], steps)
    results = report.Results(
        work / "repository",
        (first, second, third),
        prepared,
        (first_scripts, last_scripts),
        pools,
        site,
        _locations(first, third, work),
    )
    _show(report.build(_TITLE, _SUMMARY, results), steps)


def _second_site(run: Callable[..., Run], work: pathlib.Path, template: str, steps: Steps) -> second_site.SecondSite:
    first, second = str(work / "repository"), second_site.create(work / "second-repository")
    with SimulatedRegistry(work / "registry") as registry:
        pushed = run("distribute", **second_site.push_variables(registry.address, template))
        pull = second_site.pull_variables(registry.address, template, second, "simulated")
        pulled, again = run("distribute", **pull), run("distribute", **pull)
    with steps.step("Compose the image at the second site"):
        return second_site.check(first, second, template, work / "second-site.vmdk", (pushed, pulled, again))


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


def _show(result: report.Report, steps: Steps) -> None:
    _PAGE.write_text(page.render(result), encoding="utf-8")
    steps.say("\n  Result")
    for sentence in result.headline:
        steps.say(f"    {sentence}")
    for table in result.tables:
        steps.say("\n" + text.render(table))
    steps.say(f"\n  The report as a web page: {_PAGE.relative_to(_ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
