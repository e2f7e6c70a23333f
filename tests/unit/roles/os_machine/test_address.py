# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address to which the role and the packaging machine connect."""

from __future__ import annotations

import pathlib
import types

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.strata.layering.plugins.module_utils.vsphere.addresses import reachable_address

try:
    from ansible.template import trust_as_template
except ImportError:

    def trust_as_template(value):
        return value


_ROLE = pathlib.Path(__file__).resolve().parents[4] / "roles" / "os_machine"
_CASES = {
    "primary": ("192.0.2.17", [["192.0.2.17", "fe80::1"]], "192.0.2.17"),
    "apipa-first": ("169.254.7.9", [["169.254.7.9"], ["fe80::5", "10.1.2.3"]], "10.1.2.3"),
    "link-local-first": ("fe80::250:56ff:fe8a:1", [["fe80::250:56ff:fe8a:1", "192.0.2.18"]], "192.0.2.18"),
    "ipv4-preferred": ("2001:db8::7", [["2001:db8::7", "198.51.100.4"]], "198.51.100.4"),
    "ipv6-only": ("fe80::1", [["fe80::1", "2001:db8::7"]], "2001:db8::7"),
    "unique-local": (None, [["fd00::7"]], "fd00::7"),
    "only-link-local": ("169.254.1.1", [["169.254.1.1", "FE80::1", "::1", "127.0.0.1"]], ""),
    "primary-without-adapters": ("192.0.2.17", None, "192.0.2.17"),
    "adapter-without-addresses": (None, [None, []], ""),
    "nothing": (None, None, ""),
}


def role_address(guest):
    variables = yaml.safe_load((_ROLE / "vars" / "main" / "address.yml").read_text())
    trusted = {name: trust_as_template(text) for name, text in variables.items()}
    templar = Templar(loader=DataLoader(), variables={**trusted, "os_machine_guest": {"instance": {"guest": guest}}})
    return templar.template(trust_as_template("{{ os_machine_address }}"))


@pytest.mark.parametrize(("primary", "adapters", "expected"), _CASES.values(), ids=_CASES)
def test_address_that_other_computers_can_use_is_chosen(primary, adapters, expected):
    nets = [{"ipAddress": addresses} if addresses is not None else {} for addresses in adapters or []]
    guest = {"ipAddress": primary, "net": nets}
    assert role_address({key: value for key, value in guest.items() if value is not None}) == expected
    values = {
        "guest.ipAddress": primary,
        "guest.net": [types.SimpleNamespace(ipAddress=addresses) for addresses in adapters or []],
    }
    assert (reachable_address(values) or "") == expected
