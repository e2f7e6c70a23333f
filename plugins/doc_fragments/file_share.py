# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module says about how it speaks to a file share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  file_share_username:
    description:
      - The user for a file share that is spoken to directly, because it is given as C(//server/share/path), with a domain as C(DOMAIN\user) or C(user@domain).
      - If not set, the environment variable E(STRATA_FILE_SHARE_USERNAME) is used.
    type: str
  file_share_password:
    description:
      - The password of O(file_share_username). It is never stored.
      - Without it a Kerberos ticket is used, which needs the Python library C(smbprotocol[kerberos]) and a server that is named as its domain does.
      - If not set, the environment variable E(STRATA_FILE_SHARE_PASSWORD) is used.
    type: str
  file_share_encrypt:
    description:
      - Whether everything that goes to and comes from the server has to be encrypted, which SMB 3 can do. Otherwise it is only signed.
      - If not set, the environment variable E(STRATA_FILE_SHARE_ENCRYPT) is used.
    type: bool
    default: true
requirements:
  - smbprotocol, when a file share is given as C(//server/share/path)
"""
