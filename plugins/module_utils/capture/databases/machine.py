# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What identifies one computer: names, secrets, membership in a domain, state of its network and of transactions.

Sources: the keys that Sysprep and newsid tools change; Microsoft Learn, "CNG key storage providers" (places of private
keys), "Registry-based policy" and "Group Policy results"; the lists below BackupRestore. The names of certificate stores
of management and broker agents are observed.
"""

from __future__ import annotations

from .model import Database

_CONTROL = "SYSTEM\\CurrentControlSet\\Control\\"
_SERVICES = "SYSTEM\\CurrentControlSet\\Services\\"
_MICROSOFT = "SOFTWARE\\Microsoft\\"
_CURRENT = _MICROSOFT + "Windows\\CurrentVersion\\"
_NT = _MICROSOFT + "Windows NT\\CurrentVersion"
_STORES = _MICROSOFT + "SystemCertificates\\"
_ROAMING = "Windows\\System32\\config\\systemprofile\\AppData\\Roaming\\Microsoft\\"
_LOCAL = "Windows\\System32\\config\\systemprofile\\AppData\\Local\\Microsoft\\"

MACHINE_IDENTITY = Database(
    name="machine_identity",
    text="names and identifiers of the computer",
    files=("Windows\\System32\\restore\\MachineGuid.txt", "Windows\\SMSCFG.INI"),
    keys=(
        (_MICROSOFT + "Cryptography", "MachineGuid"),
        _MICROSOFT + "SQMClient",
        "SOFTWARE\\WOW6432Node\\Microsoft\\SQMClient",
        (_NT, "InstallDate"),
        (_NT, "InstallTime"),
        (_NT, "RegisteredO*"),
        (_CURRENT + "WindowsUpdate", "Sus*"),
        (_CURRENT + "WindowsUpdate", "PingID"),
        # Identifiers of the transaction coordinator.
        "SOFTWARE\\Classes\\CID",
        "SOFTWARE\\Classes\\CID.Local",
        _CONTROL + "ComputerName",
        (_SERVICES + "Tcpip\\Parameters", "*Hostname"),
        _CONTROL + "SystemInformation",
        "SYSTEM\\HardwareConfig",
        "SYSTEM\\Setup",
        "SYSTEM\\RNG",
        "SYSTEM\\MountedDevices",
    ),
)

DOMAIN_MEMBERSHIP = Database(
    name="domain_membership",
    text="membership in an Active Directory domain, in Entra ID or in device management, and the group policies that the "
    "computer got. The secrets of the membership are in the account database",
    files=(
        "Windows\\System32\\GroupPolicy\\DataStore",
        "ProgramData\\Microsoft\\Group Policy\\History",
        "ProgramData\\ntuser.pol",
        "Windows\\netlogon.*",
        "Windows\\System32\\netlogon.*",
        "Windows\\System32\\config\\netlogon.*",
    ),
    keys=(
        (_SERVICES + "Tcpip\\Parameters", "Domain"),
        (_SERVICES + "Tcpip\\Parameters", "NV Domain"),
        _SERVICES + "Netlogon\\Parameters",
        (_SERVICES + "Netlogon", "Start"),
        (_SERVICES + "W32Time\\Parameters", "Type"),
        (_NT + "\\Winlogon", "DefaultDomainName"),
        (_NT + "\\Winlogon", "CachePrimaryDomain"),
        _NT + "\\Winlogon\\DomainCache",
        _CURRENT + "Group Policy",
        _CONTROL + "Lsa\\Kerberos\\Domains",
        _CONTROL + "CloudDomainJoin",
        _MICROSOFT + "Enrollments",
        _MICROSOFT + "EnterpriseResourceManager",
        _MICROSOFT + "Provisioning\\OMADM\\Accounts",
    ),
)

MACHINE_SECRETS = Database(
    name="machine_secret",
    text="certificates of the computer with their private keys, saved credentials, and the master keys that encrypt both. "
    "An agent that finds its certificate without the private key fails instead of creating a new pair",
    files=(
        "ProgramData\\Microsoft\\Crypto",
        "ProgramData\\Microsoft\\Vault",
        "ProgramData\\ssh\\ssh_host_*",
        "Windows\\System32\\Microsoft\\Protect",
        "Windows\\System32\\ias",
        _ROAMING + "Crypto",
        _ROAMING + "Credentials",
        _ROAMING + "Protect",
        _ROAMING + "Vault",
        _ROAMING + "SystemCertificates\\My",
        _LOCAL + "Credentials",
        _LOCAL + "Vault",
        _LOCAL + "Ngc",
    ),
    keys=(
        _STORES + "MY",
        _STORES + "REQUEST",
        _STORES + "Remote Desktop",
        _STORES + "SMS",
        _STORES + "WebHosting",
        _STORES + "VMware Horizon View Certificates",
        _STORES + "Omnissa Horizon*",
    ),
)

NETWORK_PROFILES = Database(
    name="network_profiles",
    text="networks that the computer was connected to",
    files=("ProgramData\\Microsoft\\Wlansvc\\Profiles",),
    keys=(
        _NT + "\\NetworkList",
        _SERVICES + "SharedAccess\\Epoch*",
    ),
)

TRANSACTIONS = Database(
    name="transactions",
    text="logs of the distributed transaction coordinator and of the kernel's transaction manager",
    files=("Windows\\System32\\Msdtc", "Windows\\System32\\config\\TxR"),
    keys=(
        "SYSTEM\\ResourceManager",
        _CONTROL + "MSDTC\\ASR",
    ),
)
