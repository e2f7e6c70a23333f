# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test VM: its name, the mark by which a later run knows it, and its removal.

The mark is a setting in extraConfig with the name of the VM, the composer and process that created it, and the time when
this process has ended at the latest. A VM with a different name is a clone, and is never removed. A VM of a process that
may be running is not removed either.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import secrets
import socket
from dataclasses import dataclass
from typing import Any

from ..common.errors import NotFound, Unavailable
from ..vsphere.busy import Waiting
from ..vsphere.inventory.names import plain_name
from ..vsphere.properties import collect_below
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, destroy, read_facts, server_time

NAME_PREFIX = "strata-selftest-"
KEY_MARK = "strata.layering.selftest"
#: Set when the disk is complete, as publishing does at this point.
KEY_STATE = "strata.layering.selftest_state"
NOTES = (
    "Test VM of the playbook strata.layering.selftest, which removes it. You can delete it if no self-test is running."
)
#: Seconds after the time limit of a run until it has certainly ended: calls that are waited for, and the removal, have limits of their own.
_CLEANUP_TIME = 7200


def new_name() -> str:
    """Return a name for a test VM that no other VM has."""
    return NAME_PREFIX + secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a test VM. ``expires`` is a time of vCenter's clock in seconds since 1970."""

    name: str
    composer: str
    process: str
    expires: int

    @classmethod
    def create(cls, session: Session, name: str, timeout: float) -> Mark:
        """Return the mark for a VM of this process, which ends at most ``timeout`` seconds from now."""
        return cls(name, _composer(), _process(os.getpid()), int(server_time(session) + timeout + _CLEANUP_TIME))

    def settings(self) -> dict[str, str]:
        """Return the extraConfig with which the VM is created."""
        return {KEY_MARK: f"{self.name} {self.composer} {self.process} {self.expires}"}

    @classmethod
    def of(cls, facts: VmFacts) -> Mark | None:
        """Return the mark of a VM; None for a VM without a mark of its own, and for a template."""
        parts = facts.extra_config.get(KEY_MARK, "").split(" ")
        if len(parts) != 4 or parts[0] != facts.name or not parts[3].isdecimal() or facts.template:
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]))

    def has_ended(self, now: float) -> bool:
        """Return whether the run that created the VM is no longer running."""
        if now > self.expires:
            return True
        number = self.process.partition(".")[0]
        return self.composer == _composer() and number.isdecimal() and self.process != _process(int(number))


def marked_machines(session: Session) -> list[tuple[Any, VmFacts, Mark]]:
    """Return the test VMs of this and of other runs: managed object, facts and mark."""
    found = []
    root = session.content.rootFolder
    for vm, values in collect_below(session, root, "VirtualMachine", ["name"]).items():
        if plain_name(values.get("name", "")).startswith(NAME_PREFIX):
            facts = _readable_facts(session, vm)
            mark = Mark.of(facts) if facts else None
            if facts and mark:
                found.append((vm, facts, mark))
    return found


def _readable_facts(session: Session, vm: Any) -> VmFacts | None:
    """Return the facts of a VM; None if another run has removed it, or if it is that of a user whose VMs this user may not read."""
    try:
        return read_facts(session, vm)
    except NotFound:
        return None
    except Unavailable as error:
        if error.code != "vsphere.permission":
            raise
        return None


def remove_machine(session: Session, vm: Any) -> None:
    """Delete a test VM with its disks; wait while a lease without a holder blocks it.

    Raises:
        StrataError: as ``destroy``.
    """
    destroy(session, vm, waiting=Waiting(session.patience.lease))


def _composer() -> str:
    """Return an identifier of this host and, in a container, of the container."""
    parts = [socket.gethostname(), "", ""]
    with contextlib.suppress(OSError):
        parts[1] = os.readlink("/proc/self/ns/pid")
        parts[2] = pathlib.Path("/etc/machine-id").read_text(encoding="ascii", errors="replace")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _process(number: int) -> str:
    """Return an identifier of a process: its number and its start time; empty if it does not exist."""
    try:
        status = pathlib.Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The name of the program, in parentheses, may contain spaces. The start time is field 22.
    return f"{number}.{status.rpartition(')')[2].split()[19]}"
