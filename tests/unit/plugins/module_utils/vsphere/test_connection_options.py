# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a connection that cannot be used are refused with what to write instead."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.vsphere.connection_options import (
    check_credentials,
    check_hostname,
)


@pytest.mark.parametrize(
    ("hostname", "host", "port"),
    [
        ("https://127.0.0.1", "127.0.0.1", None),
        ("https://vc.example.com:8443/ui/", "vc.example.com", "8443"),
        ("//vc.example.com", "vc.example.com", None),
        ("https://admin:secret@vc.example.com", "vc.example.com", None),
        ("https://[2001:db8::1]:444", "2001:db8::1", "444"),
        ("127.0.0.1:8443", "127.0.0.1", "8443"),
        ("[2001:db8::1]:8443", "2001:db8::1", "8443"),
        ("vc.example.com:443/", "vc.example.com", "443"),
        ("vc.example.com/ui", "vc.example.com", None),
        (" vc.example.com", "vc.example.com", None),
        ("vc.example.com\n", "vc.example.com", None),
        ("", "VMWARE_HOST", None),
        ("  ", "VMWARE_HOST", None),
    ],
)
def test_check_hostname_names_host_and_port(hostname, host, port):
    with pytest.raises(InvalidInput) as raised:
        check_hostname(hostname)
    assert raised.value.code == "vsphere.hostname"
    assert host in raised.value.hint
    assert port is None or f"port: {port}" in raised.value.hint
    assert (port is None) == ("port:" not in raised.value.hint)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("hostname", ["vc.example.com", "vc", "10.0.0.1", "2001:db8::1", "::1", "fe80::1:443", "v_c"])
def test_check_hostname_accepts_names_and_addresses(hostname):
    check_hostname(hostname)


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("administrator@vsphere.local", "")])
def test_check_credentials_refuses_empty_values(username, password):
    with pytest.raises(InvalidInput) as raised:
        check_credentials(username, password)
    assert raised.value.code == "vsphere.credentials"
