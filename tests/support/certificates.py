# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for servers on the loopback interface."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key: ``file`` has both, ``ca_file`` the certificate that a client has to trust."""

    file: Path
    ca_file: Path


def make_certificate(
    folder: Path,
    name: str,
    *,
    issuer: str = "",
    address: str = "127.0.0.1",
    hostname: str = "",
    first_day: int = -1,
    last_day: int = 2,
) -> Certificate:
    """Write a certificate for an address and a host name, valid for days counted from now. ``issuer`` "" makes it self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca_key = ec.generate_private_key(ec.SECP256R1()) if issuer else key
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    valid = now + first_day * _DAY, now + last_day * _DAY
    hostnames = [x509.DNSName(hostname)] if hostname else []
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)), *hostnames])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    leaf = _signed(subject, ca_name, key.public_key(), ca_key, valid, [names])
    ca = leaf
    if issuer:
        authority = x509.BasicConstraints(ca=True, path_length=None)
        ca = _signed(ca_name, ca_name, ca_key.public_key(), ca_key, valid, [authority])
    found = Certificate(folder / f"{name}.pem", folder / f"{name}-ca.pem")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found.file.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    found.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return found


def _signed(subject, issuer, key, ca_key, valid, extensions) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), not_valid_before=valid[0], not_valid_after=valid[1]
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(ca_key, hashes.SHA256())
