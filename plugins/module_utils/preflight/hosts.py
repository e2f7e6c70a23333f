# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the composer reaches the ESXi hosts that may receive the disk.

The address of a lease has the name of a host as vCenter's inventory has it, so that DNS, a firewall or a certificate between the
composer and one host ends a publish although vCenter answers.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass

from ..common.counting import counted_examples
from ..common.errors import StrataError
from ..common.findings import FAIL, PASS, WARN
from ..vsphere.inventory.compute import Host, receiving_hosts
from ..vsphere.session import Session
from ..vsphere.transfer.transfer import HostConnection
from .subject import Subject

#: Seconds for a connection; a host that a firewall hides does not answer at all.
_TIMEOUT = 5
_HTTPS = 443
#: The port of the agent for consoles, which some servers report instead of that of the API.
_CONSOLES = 902
_WORKERS = 64
_LISTED = 3
_ADVICE = (
    "Open TCP port 443 from the composer to every ESXi host, and let DNS resolve their names as vCenter shows them; "
    "or set esxi_host of the connector to a host that the composer reaches."
)
_READ = "Give the user the role Read-only on the cluster or ESXi host, with propagation to children."


@dataclass(frozen=True)
class _Host:
    """The address of a host as vCenter knows it. ``thumbprint`` and ``certificate`` (PEM) are None when vCenter does not report them."""

    name: str
    port: int
    thumbprint: str | None
    certificate: str | None


def check(subject: Subject) -> tuple[str, str, str]:
    """Resolve the name of each host, connect to it and verify its certificate."""
    session = subject.session
    if session.content.about.apiType == "HostAgent":
        return PASS, f"{session.label} receives the disk itself", ""
    placement = subject.placement
    found_hosts = receiving_hosts(session, placement.pool, placement.host, placement.datastore)
    if found_hosts is None:
        return WARN, "vCenter does not show the hosts to the user", _READ
    hosts = [address for host in found_hosts if (address := _address(host)) is not None]
    if not hosts:
        found = f"no connected host outside of maintenance mode has the datastore {placement.datastore_name}"
        return FAIL, found, "Connect a host of the cluster and end its maintenance mode, or set a different datastore."
    with concurrent.futures.ThreadPoolExecutor(min(_WORKERS, len(hosts))) as pool:
        answers = list(zip(hosts, pool.map(lambda host: _problem(session, host), hosts), strict=True))
    problems = [problem for _host, problem in answers if problem]
    if not problems:
        examples = counted_examples([host.name for host in hosts[:_LISTED]], len(hosts), "host")
        return PASS, f"reached: {examples}", ""
    found = "; ".join(problem.message.rstrip(".") for problem in problems[:_LISTED])
    certificate = next(
        (problem for problem in problems if problem.code in ("vsphere.certificate", "vsphere.thumbprint")), None
    )
    advice = (certificate.hint if certificate else None) or _ADVICE
    if all(problem and not _may_be_trusted(host, problem) for host, problem in answers):
        return FAIL, f"none of {len(hosts)} hosts reached: {found}", advice
    return WARN, f"{len(problems)} of {len(hosts)} hosts not reached or not verified: {found}", advice


def _may_be_trusted(host: _Host, problem: StrataError) -> bool:
    """Return whether only the certificate is in doubt: a lease may have the thumbprint that vCenter does not report for the host."""
    return problem.code == "vsphere.certificate" and host.thumbprint is None and host.certificate is None


def _address(host: Host) -> _Host | None:
    """Return the address of a host, None if vCenter does not report it."""
    config = host.config
    if config is None:
        return None
    port = config.port if config.port not in (None, 0, _CONSOLES) else _HTTPS
    return _Host(config.name, port, config.sslThumbprint or None, getattr(config, "sslCertificate", None) or None)


def _problem(session: Session, host: _Host) -> StrataError | None:
    """Return the error of a connection to the host, None when it succeeds."""
    name = f"[{host.name}]" if ":" in host.name else host.name
    url = f"https://{name}:{host.port}/"
    try:
        with HostConnection(session, url, thumbprint=host.thumbprint, certificate=host.certificate, timeout=_TIMEOUT):
            return None
    except StrataError as error:
        return error
