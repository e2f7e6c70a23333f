# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role os_layer, once its versions are in the repository."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

from ansible_collections.strata.layering.tests.support.modules import run, state_of

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"


def play(workspace, **variables) -> str:
    """Run the playbook of the role on this host; return its output."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    values = {"layering_repository": os.fspath(workspace.path), **variables}
    inventory = workspace.tmp_path / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": host}, "vars": values}}))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "strata.layering.os_layer", "-i", str(inventory)],
        cwd=workspace.tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
            "ANSIBLE_HOME": str(workspace.tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_existing_version_is_not_exported_again(workspace):
    """Check that the role needs no vCenter then."""
    layer = {"name": "Windows 11", "version": "1.0", "max_layer_size_gb": 1, "export": {"name": "win11-os"}}
    before = state_of(workspace.path)
    output = play(
        workspace,
        layering_file_share=os.fspath(workspace.tmp_path),
        os_layer_versions=[layer],
        layering_hostname="127.0.0.1",
        layering_port=1,
        layering_username="user",
        layering_password="none",
    )
    assert "changed=0" in output
    assert state_of(workspace.path) == before


def test_both_names_of_the_package_are_accepted(workspace, exported):
    layer = {"name": "Windows 11", "max_layer_size_gb": 1}
    play(
        workspace,
        layering_file_share=os.fspath(exported),
        os_layer_versions=[
            layer | {"version": "2.0", "ovf_package": "gold/gold-w11.ovf"},
            layer | {"version": "3.0", "packaging_disk": "gold"},
        ],
    )
    [found] = run("layer_info", **workspace.options, kind="os")["layers"]
    assert [version["version"] for version in found["versions"]] == ["1.0", "2.0", "3.0"]
