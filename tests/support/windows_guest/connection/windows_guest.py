# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a model of Windows: it accepts what Ansible sends to a Windows host and answers as the modules there would."""

from __future__ import annotations

import base64
import json
import re

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.shell.powershell import ShellModule

from ansible_collections.strata.layering.tests.support.windows_guest import model, modules

DOCUMENTATION = r"""
name: windows_guest
short_description: A Windows host that is a model
description:
  - Decodes which module with which options the exec wrapper would run, and lets the model carry it out.
author: the strata.layering contributors (@strata)
options:
  state:
    description: The file that holds the model's state.
    type: path
    required: true
    vars:
      - name: windows_guest_state
"""

_ENCODED = re.compile(r"-EncodedCommand (\S+)")
#: The test of win_reboot, which expects this text once the logon is possible.
_LOGGED_ON = re.compile(r"AutoLogonChecked' -ErrorAction Stop; '(success-[0-9a-f-]+)'")
_REMOVE = re.compile(r"Remove-Item (?:'((?:[^']|'')*)'|(\S+)) -Force")


class Connection(ConnectionBase):
    """Modules arrive on standard input, as with every Windows host: a bootstrap manifest, four zero bytes, the exec manifest."""

    transport = "windows_guest"
    module_implementation_preferences = (".ps1", ".exe", "")
    always_pipeline_modules = True
    has_pipelining = True
    allow_executable = False
    _shell: ShellModule
    _connected: bool

    def __init__(self, *args, **kwargs) -> None:
        self._shell_type = "powershell"
        super().__init__(*args, **kwargs)
        self._shell = self._shell if isinstance(self._shell, ShellModule) else ShellModule()

    def _connect(self) -> Connection:
        if not self._connected:
            with self._windows() as windows:
                windows.connect()
            self._connected = True
        return self

    def _windows(self) -> model.Session:
        return model.Session(self.get_option("state"))

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Run the commands that PowerShell would run; return exit code, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        with self._windows() as windows:
            windows.connect()
            if in_data:
                return self._run(windows, in_data)
            encoded = _ENCODED.search(cmd)
            script = base64.b64decode(encoded[1]).decode("utf-16-le") if encoded else cmd
            if "LastBootUpTime" in script:
                return 0, str(windows.state["boots"]).encode(), b""
            if "shutdown.exe /r" in script:
                windows.restart()
                return 0, json.dumps({"rc": 0, "stdout": "", "stderr": ""}).encode(), b""
            if "ServicingInProgress" in script:
                return 0, b"", b""
            logged_on = _LOGGED_ON.search(script)
            if logged_on:
                return 0, logged_on[1].encode(), b""
            removed = _REMOVE.search(script)
            if not removed:
                raise AnsibleConnectionFailure(f"The model does not support the command {script}")
            windows.remove(removed[2] or removed[1].replace("''", "'"))
            return 0, b"", b""

    @staticmethod
    def _run(windows: model.Session, data: bytes):
        manifest = json.loads(data.split(b"\n\0\0\0\0\n")[1])
        actions = manifest["actions"]
        last = actions[-1]
        if last["name"] == "powershell_mkdtemp.ps1":
            return 0, windows.temporary_folder(last["params"]["Name"]).encode() + b"\r\n", b""
        if last["name"] == "powershell_expand_user.ps1":
            return 0, last["params"]["Path"].encode() + b"\r\n", b""
        if last["name"] != "module_wrapper.ps1":
            raise AnsibleConnectionFailure(f"The model does not know {last['name']}")
        user = next(
            (action["params"]["BecomeUser"] for action in actions if action["name"] == "become_wrapper.ps1"), None
        )
        options = next(
            variable["Value"] for variable in last["params"]["Variables"] if variable["Name"] == "complex_args"
        )
        result = modules.run(windows, last["params"]["Script"].removesuffix(".ps1"), options, user)
        return 0, json.dumps(result).encode() + b"\r\n", b""

    def put_file(self, in_path, out_path):
        """Copy a file into the model."""
        super().put_file(in_path, out_path)
        with self._windows() as windows, open(in_path, "rb") as file:
            windows.connect()
            windows.write(out_path.strip("'\""), file.read())

    def fetch_file(self, in_path, out_path):
        """Copy a file out of the model."""
        super().fetch_file(in_path, out_path)
        with self._windows() as windows, open(out_path, "wb") as file:
            windows.connect()
            file.write(windows.read(in_path.strip("'\"")))

    def close(self):
        """Forget the connection."""
        self._connected = False

    def reset(self):
        """Connect again."""
        self.close()
        self._connect()
