# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the options of a connection before anything is sent: the host name without scheme and port, and the credentials."""

from __future__ import annotations

from ..common.errors import InvalidInput
from ..common.host_names import host_name_problem


def check_hostname(hostname: str) -> None:
    """Check that ``hostname`` is a host name or an IP address alone.

    Raises:
        InvalidInput: ``vsphere.hostname``.
    """
    if not hostname.strip():
        raise InvalidInput(
            "The option hostname is empty.",
            code="vsphere.hostname",
            hint="Set hostname, or the environment variable VMWARE_HOST.",
        )
    problem = host_name_problem(hostname, "vcenter.example.com")
    if problem is not None:
        raise InvalidInput(
            f"The option hostname is {problem.found}.",
            code="vsphere.hostname",
            hint=f"Write the host name alone: {problem.advice}",
        )


def check_credentials(username: str, password: str) -> None:
    """Check that neither is empty, before vCenter counts a failed login.

    Raises:
        InvalidInput: ``vsphere.credentials``.
    """
    if not username:
        raise InvalidInput(
            "The option username is empty.",
            code="vsphere.credentials",
            hint="Set username, or the environment variable VMWARE_USER, to a name such as administrator@vsphere.local.",
        )
    if not password:
        raise InvalidInput(
            f"The password of the user {username} is empty.",
            code="vsphere.credentials",
            hint="Set password, or the environment variable VMWARE_PASSWORD.",
        )
