# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OS machine tools in wine: the runner of an image's scripts, activation, finalize, install."""

from __future__ import annotations

import json
import os
import pathlib
from xml.etree import ElementTree

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.scripts import PlacedScript, plan_text
from ansible_collections.strata.layering.tests.acceptance import wine
from ansible_collections.strata.layering.tests.support.wine_machine import (
    ON,
    REBOOT,
    SHUTDOWN,
    WineMachine,
    tool_files,
    windows_text,
)

DIGEST = "sha256:0123456789abcdef" + "0" * 48
_KEY_PREFIX = "guestinfo.strata.layering.scripts."
_TIMEOUT = 60


class Machine:
    """A wine machine with the tools and the scripts of an image: (label, file name, text); ``limits`` are those of its waits."""

    def __init__(
        self, folder, *scripts: tuple[str, str, str], vmware_tools: bool = True, limits: dict[str, int] | None = None
    ) -> None:
        self.wine = WineMachine(folder, vmware_tools=vmware_tools)
        self.wine.put(tool_files())
        self.limits = dict.fromkeys(("setup", "servicing", "devices", "network"), 0) if limits is None else limits
        self.settings()
        placed = [PlacedScript(label, name, DIGEST, 1) for label, name, _text in scripts]
        if scripts or scripts == ():
            self.wine.put({"image/plan.txt": plan_text(DIGEST, placed)})
        for number, (_label, name, text) in enumerate(scripts, 1):
            self.rewrite(number, name, text)
        #: What the guest reported, without its waits, which ``waits`` has by name.
        self.reports: list[tuple[str, str]] = []
        self.waits: dict[str, str] = {}

    def rewrite(self, number: int, name: str, text: str) -> None:
        """Replace the text of a script; scripts may write to the file %LOG%."""
        self.wine.put(
            {f"image/{number:02}-{name}": windows_text("@echo off\n" + text.replace("%LOG%", "C:\\order.txt") + "\n")}
        )

    def start(self, timeout: float = _TIMEOUT) -> str:
        """Start Windows once; return how it ended."""
        self.reports.clear()
        self.waits.clear()
        return self.wine.start(timeout=timeout, on_guestinfo=self._note).outcome

    def _note(self, key: str, value: str) -> None:
        key = key.removeprefix(_KEY_PREFIX)
        if key.startswith("wait."):
            self.waits[key.removeprefix("wait.")] = value
        elif not value.startswith("wait "):
            self.reports.append((key, value))

    def settings(self, **values: int) -> None:
        """Write the limits of the first start."""
        values = self.limits | values
        self.wine.put({"first-start.txt": windows_text("".join(f"{name}={value}\n" for name, value in values.items()))})

    def stub(self, program: str, *lines: str) -> None:
        """Define what a program of Windows returns and prints in its next calls: CODE|TEXT."""
        folder = pathlib.Path(self.wine.prefix.host_path("stubs"))
        folder.mkdir(exist_ok=True)
        (folder / f"{program}.used").unlink(missing_ok=True)
        (folder / f"{program}.txt").write_text("\n".join(lines))

    def count(self, *call: str) -> int:
        """Return the number of calls in the last start that begin with ``call``."""
        return sum(tuple(found[: len(call)]) == call for found in self.wine.calls)

    @property
    def order(self) -> list[str]:
        """Return the lines that scripts wrote to %LOG%."""
        try:
            with open(self.wine.prefix.host_path("order.txt"), encoding="utf-8") as stream:
                return stream.read().split()
        except FileNotFoundError:
            return []

    def has(self, path: str) -> bool:
        return (self.wine.scripts / path).exists()

    def text(self, path: str) -> str:
        return (self.wine.scripts / path).read_text().strip()


@pytest.fixture(autouse=True)
def _tools():
    if missing := wine.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture
def machine(tmp_path):
    """Creates a Machine."""
    return lambda *scripts, **options: Machine(tmp_path / "machine", *scripts, **options)


def test_scripts_run_once_in_order_and_shut_down(machine):
    vm = machine(
        ("os layer W 1", "a.cmd", "echo a>>%LOG%"), ("app layer X (64-bit) 2.0", "b.bat", "echo b>>%LOG%\nexit /b 0")
    )
    assert vm.start() == SHUTDOWN
    assert vm.reports == [
        ("image", "0123456789abcdef"),
        ("state", "running"),
        ("current", "1/2 os layer W 1"),
        ("result.01", "0"),
        ("current", "2/2 app layer X (64-bit) 2.0"),
        ("result.02", "0"),
        ("state", "finished"),
    ]
    assert vm.order == ["a", "b"]
    assert vm.has("image/finished")
    assert not vm.has("image/running")
    assert vm.wine.calls[-1] == ["shutdown", "/s", "/t", "0"]
    # A clone of it starts.
    assert vm.start() == ON
    assert vm.order == ["a", "b"]
    assert vm.reports == []
    assert vm.wine.calls == [["vmtoolsd", "--cmd", "info-get guestinfo.strata.layering.again"]]


def test_script_requests_restart_next_script_runs_after_it(machine):
    vm = machine(
        ("app layer A 1", "a.cmd", "echo a>>%LOG%\nexit /b 3010"),
        ("app layer B 1", "b.cmd", "echo b>>%LOG%\nexit /b 1641"),
    )
    assert vm.start() == REBOOT
    assert vm.order == ["a"]
    assert vm.start() == REBOOT
    assert vm.order == ["a", "b"]
    assert ("result.02", "1641") in vm.reports
    assert vm.start() == SHUTDOWN
    assert vm.order == ["a", "b"]
    assert vm.reports[-1] == ("state", "finished")


def test_failed_script_stops_others_and_is_retried_at_next_start(machine):
    last = 'echo it said "no" ^& ^<went^> ^| 1=2; %USERNAME% * ~\necho.\nexit /b 5'
    scripts = (
        ("app layer A 1", "a.cmd", "echo a>>%LOG%"),
        ("app layer B 1", "b.cmd", "echo b>>%LOG%\necho first\n" + last),
        ("image template", "c.cmd", ""),
    )
    vm = machine(*scripts)
    assert vm.start() == ON
    assert vm.reports[-4:] == [
        ("result.02", "5"),
        ("code", "5"),
        ("output", "it said 'no' + (went) / 1=2; Default * ~"),
        ("state", "failed"),
    ]
    assert vm.wine.guestinfo[_KEY_PREFIX + "current"] == "2/3 app layer B 1"
    assert vm.text("image/results/02.code") == "5"
    assert "first" in vm.text("image/results/02.log")
    assert not vm.has("image/results/03.code")
    vm.rewrite(2, "b.cmd", "echo again>>%LOG%")
    assert vm.start() == SHUTDOWN
    assert vm.order == ["a", "b", "again"]
    assert vm.has("image/finished")


def test_long_or_non_ascii_output_is_converted_for_reports(machine):
    vm = machine(("image template", "a.cmd", "echo " + "0123456789" * 30 + "\nexit /b 1"))
    assert vm.start() == ON
    assert vm.wine.guestinfo[_KEY_PREFIX + "output"] == "0123456789" * 20
    vm.wine.put({"image/long.txt": b"0123456789" * 900 + b"\r\n"})
    vm.rewrite(1, "a.cmd", "type %~dp0long.txt\nexit /b 4")
    assert vm.start() == ON
    assert vm.reports[-1] == ("state", "failed")
    assert vm.wine.guestinfo[_KEY_PREFIX + "code"] == "4"
    vm.rewrite(1, "a.cmd", "echo ;first^&\necho all is in C:\\temp\\\nexit /b 4")
    assert vm.start() == ON
    assert vm.wine.guestinfo[_KEY_PREFIX + "output"] == "all is in C:\\temp\\."
    vm.rewrite(1, "a.cmd", 'echo ERROR: Invalid syntax. Type "REG ADD /?" for usage. /? \nexit /b 1')
    assert vm.start() == ON
    assert vm.wine.guestinfo[_KEY_PREFIX + "output"] == "ERROR: Invalid syntax. Type 'REG ADD /?' for usage. /? "
    vm.rewrite(1, "a.cmd", "exit /b -1")
    assert vm.start() == ON
    assert vm.wine.guestinfo[_KEY_PREFIX + "output"] == ""
    assert vm.wine.guestinfo[_KEY_PREFIX + "code"] == "-1"


def test_failed_script_is_skipped_on_request(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%\nexit /b 7"), ("app layer B 1", "b.cmd", "echo b>>%LOG%"))
    assert vm.start() == ON
    vm.wine.run("cmd", "/c", "C:\\Windows\\Setup\\scripts\\run-scripts.cmd", "skip")
    assert vm.order == ["a", "b"]
    assert vm.has("image/results/01.skipped")
    assert vm.has("image/finished")
    assert vm.text("image/results/01.code") == "7"
    assert vm.wine.calls[-1][0] == "shutdown"


def test_script_restarts_windows_is_started_up_to_three_times(machine):
    vm = machine(
        (
            "app layer A 1",
            "a.cmd",
            "echo a>>%LOG%\n%SystemRoot%\\System32\\shutdown.exe /r /t 0\nping -n 30 127.0.0.1 >nul",
        )
    )
    assert [vm.start() for _number in range(4)] == [REBOOT, REBOOT, REBOOT, ON]
    assert vm.order == ["a", "a", "a"]
    assert vm.wine.guestinfo[_KEY_PREFIX + "code"] == "interrupted"
    assert vm.reports[-1] == ("state", "failed")
    vm.rewrite(1, "a.cmd", "echo well>>%LOG%")
    assert vm.start() == SHUTDOWN
    assert vm.order[3:] == ["well"]


def test_script_hangs_keeps_vm_on_and_is_started_again(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%\nping -n 60 127.0.0.1 >nul"))
    with pytest.raises(TimeoutError):
        vm.start(timeout=6)
    assert vm.reports[-1] == ("current", "1/1 app layer A 1")
    assert not vm.has("image/results/01.code")
    vm.rewrite(1, "a.cmd", "echo b>>%LOG%")
    assert vm.start() == SHUTDOWN
    assert vm.order == ["a", "b"]
    assert vm.text("image/results/01.started") == "2"


def test_script_ended_by_shutdown_is_interrupted(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%\nexit 1073807364"))
    with pytest.raises(TimeoutError):
        vm.start(timeout=8)
    assert vm.order == ["a"]
    assert vm.reports[-1] == ("current", "1/1 app layer A 1")
    assert not vm.has("image/results/01.code")
    # Windows is still there.
    assert vm.start() == ON
    assert vm.order == ["a", "a"]
    assert vm.reports[-1] == ("state", "failed")
    assert vm.wine.guestinfo[_KEY_PREFIX + "code"] == "1073807364"


def test_delayed_restart_of_a_script_does_not_prevent_the_next_script(machine):
    vm = machine(("app layer A 1", "a.cmd", "%SystemRoot%\\System32\\shutdown.exe /r /t 600\nexit /b 0"))
    assert vm.start() == SHUTDOWN
    assert vm.reports[-1] == ("state", "finished")
    assert [call for call in vm.wine.calls if call[0] == "shutdown"] == [
        ["shutdown", "/r", "/t", "600"],
        ["shutdown", "/a"],
        ["shutdown", "/s", "/t", "0"],
    ]


def test_failed_shutdown_is_not_finished_before_next_start(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    program = vm.wine.prefix.host_path("windows/system32/shutdown.exe")
    # A script has started to restart Windows.
    os.rename(program, program + ".away")
    assert vm.start() == ON
    assert vm.order == ["a"]
    assert not vm.has("image/finished")
    os.rename(program + ".away", program)
    assert vm.start() == SHUTDOWN
    assert vm.order == ["a"]
    assert vm.has("image/finished")


def test_powershell_script_runs_in_powershell(machine):
    vm = machine(("app layer A 1", "a.ps1", "#output done\n#exit 3"))
    assert vm.start() == ON
    call = next(call for call in vm.wine.calls if call[0] == "powershell" and "-File" in call)
    assert call[1:] == [
        "-NoProfile",
        "-NonInteractive",
        "-ExecutionPolicy",
        "Bypass",
        "-File",
        "C:\\Windows\\Setup\\scripts\\image\\01-a.ps1",
    ]
    assert (vm.wine.guestinfo[_KEY_PREFIX + "code"], vm.wine.guestinfo[_KEY_PREFIX + "output"]) == ("3", "done")


def test_packaging_machine_runs_no_scripts(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    vm.wine.put({"kmsdir/runato.cmd": windows_text("echo key>>C:\\order.txt\n")})
    vm.wine.guestinfo = {"guestinfo.strata.layering.purpose": "packaging"}
    assert vm.start() == ON
    assert vm.reports == []
    assert vm.order == []
    assert not vm.has("kmsdir/runato_done")
    assert not vm.has("kmsdir/guestinfo.txt")


def test_finished_vm_reports_again_only_on_request_for_its_image(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    assert vm.start() == SHUTDOWN
    vm.wine.guestinfo = {"guestinfo.strata.layering.again": "fedcba9876543210"}
    assert vm.start() == ON
    assert vm.reports == []
    vm.wine.guestinfo = {"guestinfo.strata.layering.again": "0123456789abcdef"}
    assert vm.start() == SHUTDOWN
    assert vm.reports == [("image", "0123456789abcdef"), ("state", "finished")]
    assert vm.order == ["a"]


def test_manual_mode_keeps_vm_on(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    vm.wine.guestinfo = {"guestinfo.strata.layering.mode": "manual"}
    assert vm.start() == ON
    assert vm.reports[-1] == ("state", "finished")
    assert vm.has("image/finished")
    assert vm.count("shutdown") == 0


def test_no_scripts_shuts_down_and_no_plan_does_nothing(machine):
    vm = machine()
    assert vm.start() == SHUTDOWN
    assert vm.reports[-1] == ("state", "finished")
    (vm.wine.scripts / "image/plan.txt").unlink()
    (vm.wine.scripts / "image/finished").unlink()
    assert vm.start() == ON
    assert vm.reports == []


def test_missing_vmware_tools_scripts_run_without_reports(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"), vmware_tools=False)
    assert vm.start() == SHUTDOWN
    assert vm.reports == []
    assert vm.order == ["a"]


def test_activation_is_retried_until_it_succeeds(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    vm.settings(tries=3, pause=0)
    vm.wine.put({"kmsdir/runato.cmd": windows_text(_FAILS_TWICE)})
    assert vm.start() == SHUTDOWN
    assert vm.order == ["try", "try", "try", "a"]
    assert vm.reports[2:4] == [("current", "activation runato.cmd"), ("result.activation", "0")]
    assert vm.text("image/results/activation.code") == "0"
    assert vm.has("kmsdir/runato_done")
    assert "runato.cmd ended with 0 (attempt 3)" in vm.text("kmsdir/kmssetup.log")


def test_activation_fails_like_a_script_and_resumes(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    vm.settings(tries=2, pause=0)
    files = {
        "runipkato.cmd": "echo key>>C:\\order.txt\n",
        "runato.cmd": "@echo off\necho try>>C:\\order.txt\necho key ABCDE-FGHIJ-12345-KLMNO-PQRST\n"
        "echo no license server\nexit /b 9\n",
    }
    vm.wine.put({f"kmsdir/{name}": windows_text(text) for name, text in files.items()})
    assert vm.start() == ON
    assert vm.order == ["key", "try", "try"]
    assert vm.reports[-5:] == [
        ("current", "activation runato.cmd"),
        ("result.activation", "9"),
        ("code", "9"),
        ("output", "no license server"),
        ("state", "failed"),
    ]
    assert vm.has("kmsdir/runipkato_done")
    assert not vm.has("kmsdir/runato_done")
    assert not vm.has("image/running")
    # A product key is neither in a log nor in a report.
    assert b"PQRST" not in b"".join(path.read_bytes() for path in vm.wine.scripts.rglob("*.*") if path.suffix != ".cmd")
    assert "PQRST" not in json.dumps(vm.wine.calls)
    vm.wine.put({"kmsdir/runato.cmd": windows_text("exit /b 0\n")})
    assert vm.start() == SHUTDOWN
    assert vm.order[3:] == ["a"]
    assert ("result.activation", "0") in vm.reports


def test_failed_activation_is_skipped_on_request(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"))
    vm.settings(tries=1)
    vm.wine.put({"kmsdir/runato.cmd": windows_text("exit /b 9\n")})
    assert vm.start() == ON
    vm.wine.run("cmd", "/c", "C:\\Windows\\Setup\\scripts\\run-scripts.cmd", "skip")
    assert vm.order == ["a"]
    assert vm.has("image/results/activation.skipped")
    assert not vm.has("kmsdir/runato_done")
    assert vm.wine.calls[-1][0] == "shutdown"
    # Clones do not try it again.
    assert vm.start() == ON
    assert vm.order == ["a"]


def test_activation_never_runs_without_a_plan(machine):
    vm = machine()
    vm.wine.put({"kmsdir/runato.cmd": windows_text("echo key>>C:\\order.txt\n")})
    (vm.wine.scripts / "image/plan.txt").unlink()
    assert vm.start() == ON
    assert vm.order == []
    assert vm.wine.calls == []


def test_waits_end_when_windows_is_ready(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"), limits={"servicing": 2, "devices": 7, "network": 2})
    vm.stub("tasklist", '0|"TiWorker.exe","1"', "0|INFO")
    vm.stub("netsh", "0|", "0|", "0|   1  75  4294967295  connected  Loopback", _GATEWAY)
    vm.stub("powershell", "0|")
    assert vm.start() == SHUTDOWN
    assert vm.waits == {"setup": "ready", "servicing": "ready", "devices": "ready", "network": "ready"}
    assert vm.count("tasklist") == 3
    assert vm.count("netsh") == 4
    assert vm.order == ["a"]
    [command] = {call[-1] for call in vm.wine.calls if call[0] == "powershell"}
    assert '\'[DllImport("cfgmgr32.dll")] public static extern uint CMP_WaitNoPendingInstallEvents(' in command
    assert command.endswith("; exit $type::CMP_WaitNoPendingInstallEvents(7000)")


@pytest.mark.parametrize(
    ("interfaces", "ended"),
    [
        (
            "Idx Met MTU~--- --- ---~  1  75  4294967295  connected  Loopback~  7  25  1500  disconnected  Ethernet",
            "timeout",
        ),
        ("Idx Met MTU~--- --- ---~  1  75  4294967295  connected  Loopback", "absent"),
    ],
)
def test_wait_for_a_network_that_never_comes_is_bounded_and_reported(machine, interfaces, ended):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"), limits={"network": 1})
    vm.stub("netsh", *["0|", "0|", "0|" + interfaces] * 2)
    assert vm.start(timeout=30) == SHUTDOWN
    assert vm.waits["network"] == ended
    assert vm.order == ["a"]
    assert vm.text("image/results/wait-network.txt") == ended
    assert vm.reports[-1] == ("state", "finished")


def test_wait_on_a_member_of_a_domain_includes_netlogon(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"), limits={"network": 2})
    netlogon = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Netlogon"
    vm.wine.run("reg", "add", netlogon, "/v", "Start", "/t", "REG_DWORD", "/d", "2", "/f")
    vm.stub("sc", "0|STATE : 2  START_PENDING", "0|STATE : 4  RUNNING")
    assert vm.start() == SHUTDOWN
    assert vm.waits["network"] == "ready"
    assert vm.count("sc", "query", "Netlogon") == 2


def test_windows_without_scripts_is_not_shut_down_while_devices_are_installed(machine):
    vm = machine(limits={})
    vm.stub("powershell", "258|")
    assert vm.start() == ON
    assert vm.waits["devices"] == "timeout"
    assert vm.reports[-3:] == [("code", "timeout"), ("output", ""), ("state", "failed")]
    assert vm.wine.guestinfo[_KEY_PREFIX + "current"] == "wait devices"
    assert vm.count("shutdown") == 0
    assert not vm.has("image/finished")
    # The installation has ended.
    vm.stub("powershell", "0|")
    assert vm.start() == SHUTDOWN


def test_devices_are_observed_without_powershell(machine):
    vm = machine(limits={"servicing": 0, "devices": 2})
    vm.stub("powershell", "1|")
    vm.stub("tasklist", "0|INFO", '0|"drvinst.exe","1"', "0|INFO")
    assert vm.start() == SHUTDOWN
    assert vm.waits["devices"] == "ready"
    assert vm.count("tasklist", "/nh", "/fo", "csv", "/fi", "imagename eq drvinst.exe") == 3


def test_activation_and_scripts_wait_for_windows_setup(machine):
    vm = machine(("app layer A 1", "a.cmd", "echo a>>%LOG%"), limits={"setup": 1})
    vm.wine.put({"kmsdir/runato.cmd": windows_text("echo key>>C:\\order.txt\n")})
    setup = ("reg", "add", "HKLM\\SYSTEM\\Setup", "/v", "OOBEInProgress", "/t", "REG_DWORD", "/f", "/d")
    vm.wine.run(*setup, "1")
    assert vm.start() == ON
    assert vm.waits == {"setup": "timeout"}
    assert vm.order == []
    assert vm.reports[-1] == ("state", "failed")
    assert vm.wine.guestinfo[_KEY_PREFIX + "current"] == "wait setup"
    # Windows Setup has ended.
    vm.wine.run(*setup, "0")
    vm.settings(setup=60)
    assert vm.start() == SHUTDOWN
    assert vm.order == ["key", "a"]
    assert vm.waits["setup"] == "ready"


def test_waits_are_turned_off_by_zero(machine):
    vm = machine(
        ("app layer A 1", "a.cmd", "echo a>>%LOG%"), limits={"setup": 0, "servicing": 0, "devices": 0, "network": 0}
    )
    assert vm.start() == SHUTDOWN
    assert vm.waits == {}
    assert {call[0] for call in vm.wine.calls} <= {"vmtoolsd", "findstr", "shutdown"}


_GATEWAY = "0|No  Manual  0  0.0.0.0/0  12  192.0.2.1"
_FAILS_TWICE = r"""@echo off
echo try>>C:\order.txt
if exist %~dp0two exit /b 0
if exist %~dp0one echo 2 >%~dp0two
echo 1 >%~dp0one
exit /b 9
"""

_CURRENT = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\"
_RENAMES = "\\??\\C:\\new\0!\\??\\C:\\old\0\0".encode("utf-16-le").hex(",")
_REGISTRY = f"""Windows Registry Editor Version 5.00

[{_CURRENT}WindowsUpdate\\Auto Update\\RebootRequired]

[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Netlogon]
"JoinDomain"="x"

[{_CURRENT}Installer\\InProgress]

[{_CURRENT}RunOnce]
"Setup"="setup.exe"

[{_CURRENT}RunOnceEx\\0001]

[HKEY_LOCAL_MACHINE\\SYSTEM\\Setup]
"UpgradeInProgress"=dword:00000001

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\.NETFramework\\NGenQueue\\WIN64\\Default\\0]

[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]
"Domain"="corp.example.com"

[HKEY_LOCAL_MACHINE\\SYSTEM\\Setup\\Status\\SysprepStatus]
"GeneralizationState"=dword:00000003
"CleanupState"=dword:00000002

[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager]
"PendingFileRenameOperations"=hex(7):{_RENAMES}
"""
_FINDINGS = """reboot: a restart is pending (RebootRequired JoinDomain pending.xml).
installer: an MSI installation is in progress (InProgress).
run_once: RunOnce entries are outstanding (RunOnce RunOnceEx).
windows_upgrade: Windows is being set up or upgraded (UpgradeInProgress $WINDOWS.~BT).
ngen_needed: .NET assemblies are not compiled yet (Default).
no_done_markers: kmssetup.cmd has run in this VM (kmsdir).
domain_joined: Windows is joined to a domain (corp.example.com).
sysprep_state: Sysprep was run (GeneralizationState).
pending_renames: a restart would replace files (PendingFileRenameOperations).
"""


def test_finalize_shuts_down_unless_a_check_fails(machine):
    vm = machine()
    finalize = ("cmd", "/c", "C:\\Windows\\Setup\\scripts\\finalize.cmd")
    assert "The operation completed successfully" in vm.wine.run(*finalize)
    assert vm.wine.calls == [["shutdown", "/s", "/t", "0"]]
    vm.wine.put({"kmsdir/runato_done": b"", "all.reg": windows_text(_REGISTRY), "../../WinSxS/pending.xml": b"<x/>"})
    vm.wine.put({"../../../$WINDOWS.~BT/Sources/SetupHost.exe": b""})
    # Wine runs the commands of RunOnce when it starts.
    both = windows_text("@reg import %~dp0all.reg >nul 2>&1\n@cmd /c %~dp0finalize.cmd\n@exit /b %ERRORLEVEL%\n")
    vm.wine.put({"both.cmd": both})
    # Linux has the low byte of the exit code.
    code = (2 + 4 + 16 + 32 + 64 + 128 + 256 + 512 + 1024) & 0xFF
    printed = vm.wine.run("cmd", "/c", "C:\\Windows\\Setup\\scripts\\both.cmd", codes=(code,))
    assert "".join(line.partition(").")[0] + ").\n" for line in printed.splitlines()) == _FINDINGS
    assert vm.wine.calls == []
    assert "installer: " in vm.wine.run(*finalize, "/force")
    assert vm.wine.calls == [["shutdown", "/s", "/t", "0"]]


def test_install_creates_the_startup_task_once_and_uninstall_removes_it(machine):
    vm = machine()
    for path, data in tool_files().items():
        vm.wine.put({f"../../../temp/new tools/{path}": data})
        (vm.wine.scripts / path).unlink()
    install = ("cmd", "/c", "C:\\temp\\new tools\\install.cmd")
    assert "The tools are installed." in vm.wine.run(*install)
    created = [call for call in vm.wine.calls if "/create" in call]
    assert created == [
        [
            "schtasks",
            "/create",
            "/f",
            "/tn",
            "strata.layering\\startup",
            "/xml",
            "C:\\windows\\Setup\\scripts\\startup.xml",
        ]
    ]
    assert {path: (vm.wine.scripts / path).read_bytes() for path in tool_files()} == tool_files()
    assert "already exists" in vm.wine.run(*install)
    assert not any("/create" in call for call in vm.wine.calls)
    vm.wine.put({"kmsdir/runato.cmd": b"rem\r\n"})
    assert "removed" in vm.wine.run(*install, "/uninstall")
    assert not vm.has("run-scripts.cmd")
    assert not vm.has("kmsdir/kmssetup.cmd")
    assert vm.has("kmsdir/runato.cmd")
    assert "removed" in vm.wine.run(*install, "/uninstall")
    assert not any("/delete" in call for call in vm.wine.calls)


def test_install_replaces_the_task_of_an_earlier_version_and_keeps_own_files(machine):
    vm = machine()
    install = ("cmd", "/c", "C:\\Windows\\Setup\\scripts\\install.cmd")
    task = "../../../windows/system32/Tasks/strata.layering/startup"
    vm.wine.put({task: b"<ExecutionTimeLimit>P3D</ExecutionTimeLimit>", "kmsdir/officeactivate.cmd": b"rem mine\r\n"})
    vm.wine.run(*install)
    assert (vm.wine.scripts / task).read_bytes() == (vm.wine.scripts / "startup.xml").read_bytes()
    assert vm.text("kmsdir/officeactivate.cmd") == "rem mine"
    vm.wine.run(*install, "/uninstall")
    assert vm.has("kmsdir/officeactivate.cmd")


def test_startup_task_has_normal_priority_and_no_limits():
    task = ElementTree.fromstring(tool_files()["startup.xml"])
    space = {"": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    settings = {element.tag.partition("}")[2]: element.text for element in task.find("Settings", space)}
    assert 4 <= int(settings["Priority"]) <= 6
    assert settings["ExecutionTimeLimit"] == "PT0S"
    for name in ("DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "RunOnlyIfIdle", "RunOnlyIfNetworkAvailable"):
        assert settings[name] == "false"
    assert task.find("Principals/Principal/UserId", space).text == "S-1-5-18"
    assert task.find("Actions/Exec/Command", space).text == "%SystemRoot%\\Setup\\scripts\\kmsdir\\kmssetup.cmd"
    assert task.find("Triggers/BootTrigger/Enabled", space).text == "true"


_LICENSES = "../../../Program Files/Microsoft Office/root/Licenses16"
_OSPP = "../../../Program Files/Microsoft Office/Office16/ospp.vbs"
_LICENSED = "#/inslic Office license installed successfully.\n#/inpkey <Product key installation successful>\n"
_ACTIVATED = _LICENSED + "#/act <Product activation successful>\n"
_REFUSED = _LICENSED + "#/act ERROR CODE: 0xC004F074\n#/act ERROR DESCRIPTION: no host\n"
_NO_KEY = _LICENSED + "#/act <No installed product keys detected>\n"
_PRODUCT_KEY = "ABCDE-FGHIJ-12345-KLMNO-PQRST"


@pytest.fixture
def office(machine):
    """Creates a VM with an Office whose ospp.vbs prints the given lines, and whose only script is officeactivate.cmd."""

    def create(ospp: str, *, products: str | None = "O365ProPlusRetail,ProPlus2021Volume", keys: str = _PRODUCT_KEY):
        vm = machine(("app layer Office 1", "officeactivate.cmd", tool_files()["officeactivate.cmd"].decode()))
        names = ("ProPlus2021VL_KMS_Client_AE-ppd", "ProPlus2021VL_MAK_AE-ppd", "VisioPro2021VL_MAK_AE-ppd", "O365-ppd")
        names += ("client-issuance-root", "pkeyconfig-office")
        vm.wine.put({f"{_LICENSES}/{name}.xrm-ms": b"x" for name in names} | {_OSPP: ospp.encode()})
        vm.settings(tries=2, pause=0)
        if keys:
            vm.wine.put({"kmsdir/officekeys.txt": windows_text(keys)})
        if products is not None:
            key = "HKLM\\SOFTWARE\\Microsoft\\Office\\ClickToRun\\Configuration"
            vm.wine.run("reg", "add", key, "/v", "ProductReleaseIds", "/t", "REG_SZ", "/d", products, "/f")
        return vm

    return create


def _activate(vm, path: str = "image\\01-officeactivate.cmd") -> tuple[str, list[str]]:
    """Run officeactivate.cmd; return its output and the options of its calls of ospp.vbs."""
    output = vm.wine.run("cmd", "/d", "/c", f"C:\\Windows\\Setup\\scripts\\{path}", codes=(0, 1))
    return output.strip(), [call[-1].rpartition("\\")[2] for call in vm.wine.calls if call[0] == "cscript"]


def test_office_gets_its_licenses_and_keys_and_is_activated_once(office):
    vm = office(_ACTIVATED, keys=f"# Office\n{_PRODUCT_KEY}\n")
    assert _activate(vm) == (
        "Office is activated.",
        [
            "client-issuance-root.xrm-ms",
            "pkeyconfig-office.xrm-ms",
            "ProPlus2021VL_KMS_Client_AE-ppd.xrm-ms",
            "ProPlus2021VL_MAK_AE-ppd.xrm-ms",
            f"/inpkey:{_PRODUCT_KEY}",
            "/act",
        ],
    )
    assert vm.has("kmsdir/office_done")
    assert not vm.has("kmsdir/officekeys.txt")
    assert list(vm.wine.scripts.glob("image/*.out*")) == []
    assert _activate(vm) == ("Office has been activated before.", [])


@pytest.mark.parametrize(
    ("ospp", "attempts", "output"),
    [
        (_REFUSED, 2, "Office cannot be activated (attempt 2): error code 0xC004F074."),
        (_NO_KEY, 1, "Office has no product key. Write the keys"),
        (
            "#/inslic ERROR CODE: 0xC004D302\n",
            0,
            "The license file client-issuance-root.xrm-ms cannot be installed: error",
        ),
        (_LICENSED.replace("/inpkey", "/x"), 0, "Product key 1 of officekeys.txt cannot be installed: ospp"),
    ],
)
def test_office_that_cannot_be_activated_fails(office, ospp, attempts, output):
    vm = office(ospp)
    printed, calls = _activate(vm)
    assert calls.count("/act") == attempts
    assert printed.splitlines()[-1].startswith(output)
    assert _PRODUCT_KEY not in printed
    assert vm.has("kmsdir/officekeys.txt")
    assert not vm.has("kmsdir/office_done")


def test_office_without_license_in_an_image_requires_action(office):
    vm = office(_REFUSED)
    assert vm.start() == ON
    assert vm.wine.guestinfo[_KEY_PREFIX + "output"] == "Office cannot be activated (attempt 2): error code 0xC004F074."
    assert (vm.wine.guestinfo[_KEY_PREFIX + "code"], vm.reports[-1]) == ("1", ("state", "failed"))


def test_office_products_decide_which_licenses_are_installed(office):
    vm = office(_ACTIVATED, products=None)
    assert sum(name.endswith(".xrm-ms") for name in _activate(vm)[1]) == 5


def test_office_with_a_subscription_or_own_activation_is_left_alone(office):
    vm = office(_NO_KEY, products="O365ProPlusRetail,VisioProRetail", keys="")
    assert _activate(vm) == ("There is no Office with a volume license.", [])
    vm.wine.put({"kmsdir/officeactivate.cmd": b"exit /b 0\r\n", "kmsdir/officeactivate_done": b""})
    assert _activate(vm) == ("Office has been activated by kmsdir\\officeactivate.cmd.", [])


def test_officeactivate_in_kmsdir_acts_only_with_keys(office):
    vm = office(_ACTIVATED, keys="")
    vm.wine.put({"kmsdir/officeactivate.cmd": tool_files()["officeactivate.cmd"]})
    assert _activate(vm, "kmsdir\\officeactivate.cmd") == ("", [])
    vm.wine.put({"kmsdir/officekeys.txt": _PRODUCT_KEY.encode()})
    assert _activate(vm, "kmsdir\\officeactivate.cmd")[1][-1] == "/act"
