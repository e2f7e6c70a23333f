# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks of the collection on this host, and read the variables that they leave."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[2] / ".build" / "collections"
_HOST = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@dataclass(frozen=True)
class PlaybookRun:
    """A finished run: exit code, output, and the ``variables`` that it was asked for (None: not defined)."""

    code: int
    output: str
    variables: dict[str, Any]


def keep_variables(path: pathlib.Path, *names: str) -> dict[str, Any]:
    """Return a task that writes variables to a file, also in check mode."""
    content = "{{ {" + ", ".join(f"'{name}': {name} | default(none)" for name in names) + "} | to_json }}"
    return {"ansible.builtin.copy": {"content": content, "dest": str(path)}, "check_mode": False}


def run_plays(folder: pathlib.Path, plays: list[dict], variables: dict[str, Any], *flags: str) -> PlaybookRun:
    """Run plays on localhost; ``variables`` are those of the inventory. ``keep_variables`` writes to ``variables.json`` in ``folder``."""
    playbook, inventory, kept = (folder / f"{name}.json" for name in ("playbook", "inventory", "variables"))
    playbook.write_text(json.dumps(plays))
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": _HOST}, "vars": variables}}))
    kept.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(playbook), "-i", str(inventory), *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {
            "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    return PlaybookRun(
        done.returncode, done.stdout + done.stderr, json.loads(kept.read_text()) if kept.exists() else {}
    )
