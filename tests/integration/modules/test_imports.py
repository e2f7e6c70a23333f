# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that changes nothing imports little: Ansible compiles each file of a module at each call."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, connector
from ansible_collections.strata.layering.tests.support.modules import run

_PROGRAM = """
import json, sys
from ansible_collections.strata.layering.tests.support.modules import attempt
calls = json.load(sys.stdin)
results = [attempt(module, **options) for module, options in calls]
print(json.dumps([results, sorted(sys.modules)]))
"""
#: Libraries and parts of the engine that only a change, or an image, needs.
_HEAVY = ("numpy", "pyVmomi", "isal", "blake3", "cryptography", "smbprotocol", "xml.etree")
_HEAVY_PACKAGES = ("capture", "ntfs", "vsphere", "winregistry", "windows", "disk", "packaging")


def test_unchanged_calls_import_little(workspace):
    app = {"name": "Tool", "version": "2.1", "files": workspace.files("tool", {"Program Files/Tool/tool.exe": "x"})}
    app["os_layer"] = {"name": OS_LAYER["name"]}
    run("app_layer", **workspace.options, **app)
    template = {"name": "office", "connector": "desktops", "os_layer": {"name": OS_LAYER["name"], "version": "latest"}}
    template["app_layers"] = [{"name": "Tool", "version": "latest"}]
    run("image_template", **workspace.options, **template)
    calls = [
        ("repository", {}),
        ("connector", connector()),
        ("app_layer", app),
        ("image_template", template),
        ("layer_info", {}),
        ("layered_image_info", {}),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([(module, workspace.options | options) for module, options in calls]),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=True,
        capture_output=True,
        text=True,
    )
    results, imported = json.loads(done.stdout)
    assert [result.get("changed") for result in results] == [False] * len(calls), results
    prefix = "ansible_collections.strata.layering.plugins.module_utils."
    packages = {name.removeprefix(prefix).partition(".")[0] for name in imported if name.startswith(prefix)}
    assert packages & set(_HEAVY_PACKAGES) == set()
    assert set(imported) & set(_HEAVY) == set()
