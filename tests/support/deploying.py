# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create VMs for tests by an import of a VMDK stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...plugins.module_utils.common.progress import Progress, silent
from ...plugins.module_utils.vsphere.hardware.hardware import Hardware
from ...plugins.module_utils.vsphere.inventory.inventory import Placement
from ...plugins.module_utils.vsphere.session import Session
from ...plugins.module_utils.vsphere.transfer.deploy import Deployed, Uploaded, create_by_import
from ...plugins.module_utils.vsphere.transfer.import_specification import DeployRequest


def deploy_vm(
    session: Session,
    placement: Placement,
    *,
    blocks: Callable[[], Iterable[bytes]],
    progress: Progress = silent,
    on_created: Callable[[Any], None] = lambda vm: None,
    on_uploaded: Callable[[Uploaded], None] = lambda upload: None,
    **fields: Any,
) -> Deployed:
    """Create a VM with default hardware; ``fields`` are those of DeployRequest."""
    values: dict[str, Any] = {"placement": placement, "hardware": Hardware(), **fields}
    return create_by_import(
        session, DeployRequest(**values), blocks(), progress=progress, on_created=on_created, on_uploaded=on_uploaded
    )
