# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the datastore satisfies the storage policy."""

from __future__ import annotations

from ..common.findings import FAIL, PASS
from ..vsphere.inventory.storage_policies import incompatible_datastores
from .subject import Subject


def check(subject: Subject) -> tuple[str, str, str]:
    """Let vCenter compare the storage policy of the connector with the datastore."""
    policy, placement = subject.placement.storage_policy, subject.placement
    if policy is None:
        return PASS, "none: the default policy of the datastore is used", ""
    unfit = incompatible_datastores(subject.session, policy, [placement.datastore])
    if unfit:
        reason = unfit[placement.datastore].rstrip(".")
        found = f"the datastore {placement.datastore_name} does not satisfy the storage policy {policy.name}: {reason}"
        return FAIL, found, "Set datastore or storage_policy of the connector so that they fit together."
    return PASS, f"the datastore {placement.datastore_name} satisfies the storage policy {policy.name}", ""
