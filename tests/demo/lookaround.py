# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulators after the demo: how to connect to them, look around, and stop them.

``python -m ansible_collections.strata.layering.tests.demo.lookaround`` stops them.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import sys

from ..support import horizon_simulator
from ..support.horizon_simulator import HorizonSimulator
from ..support.simulator import Simulator, stop_saved

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / ".cache" / "demo"
_CONNECTION, _CA, _ENVIRONMENT = "simulator.json", "ca.pem", "environment"
_HORIZON, _HORIZON_CA = "horizon.json", "horizon-ca.pem"
_COMMANDS = (
    ("the published images", "ansible localhost -m strata.layering.layered_image_info"),
    ("the layers", "ansible localhost -m strata.layering.layer_info"),
    ("the Horizon pool and its image", "ansible localhost -m strata.layering.horizon_pool_info -a machines=true"),
    ("each change and its reason", "ansible localhost -m strata.layering.audit_info"),
)


def connection(folder: pathlib.Path, simulator: Simulator, horizon: HorizonSimulator) -> dict[str, str]:
    """Return the environment variables that connect the collection to the simulators."""
    variables = {name: value for name, value in simulator.environment().items() if name.startswith("VMWARE_")}
    variables |= {"VMWARE_CA_PATH": str(folder / _CA)}
    return variables | horizon.environment() | {"HORIZON_CA_PATH": str(folder / _HORIZON_CA)}


def save(folder: pathlib.Path, simulator: Simulator) -> None:
    """Store the connection to vCenter in ``folder``: for ``stop``, and the certificate authority for every user."""
    simulator.save(folder / _CONNECTION)
    if simulator.ca_file:
        shutil.copyfile(simulator.ca_file, folder / _CA)


def save_horizon(folder: pathlib.Path, simulator: Simulator, horizon: HorizonSimulator) -> None:
    """Store the connection to the Connection Server in the same way, and both connections for a shell."""
    horizon.save(folder / _HORIZON)
    shutil.copyfile(horizon.ca_file, folder / _HORIZON_CA)
    variables = connection(folder, simulator, horizon) | {
        "STRATA_REPOSITORY": str(folder / "work" / "repository"),
        "ANSIBLE_COLLECTIONS_PATH": str(_ROOT / ".build" / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "PYTHONPATH": str(_ROOT / ".build" / "collections"),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    lines.append(f"export PATH={shlex.quote(str(_ROOT / '.venv' / 'bin'))}:$PATH")
    # It contains the password.
    descriptor = os.open(folder / _ENVIRONMENT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def instructions(folder: pathlib.Path, simulator: Simulator) -> list[str]:
    """Return lines that say how to look around and how to stop the simulators."""
    width = max(len(command) for _subject, command in _COMMANDS)
    return [
        "",
        f"  The simulators continue to run for four hours, vCenter at {simulator.url}. To look around, paste:",
        f"    . {(folder / _ENVIRONMENT).relative_to(_ROOT)}",
        *(f"    {command:<{width}}   # {subject}" for subject, command in _COMMANDS),
        "  To stop them:",
        "    make demo-stop",
    ]


def stop(folder: pathlib.Path) -> bool:
    """Stop the simulators of an earlier demo; return False if they did not run."""
    stopped = [stop_saved(folder / _CONNECTION), horizon_simulator.stop_saved(folder / _HORIZON)]
    forget(folder)
    return any(stopped)


def forget(folder: pathlib.Path) -> None:
    """Remove the stored connections."""
    for name in (_CONNECTION, _CA, _ENVIRONMENT, _HORIZON, _HORIZON_CA):
        (folder / name).unlink(missing_ok=True)


def main() -> int:
    """Stop the simulators that a demo left running."""
    stopped = stop(_FOLDER)
    sys.stdout.write("The simulators were stopped.\n" if stopped else "No simulator of the demo is running.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
