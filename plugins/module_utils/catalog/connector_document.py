# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of connectors: where in vSphere images are published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .fields import DocumentName, Fields, Stored
from .kinds import CONNECTOR

#: Fields that do not decide the hardware and location of the VM.
_NOT_PLACEMENT = ("script", "description", "custom_attributes", "vtpm")
#: The values of ``vtpm`` as an option.
VTPM_REFUSE, VTPM_WARN, VTPM_ALLOW = "refuse", "warn", "allow"
#: Fields that earlier versions of the collection stored as empty text if the option was set to empty text.
_MAY_BE_EMPTY = ("cluster", "esxi_host", "resource_pool", "folder", "network", "script")


@dataclass(frozen=True, kw_only=True)
class ConnectorDocument(Stored):
    """A connector. ``script`` is the path on the composer of the program that is run for each published image.

    ``vtpm`` is what happens when a published VM has a virtual TPM: warn, allow, or None to refuse it.
    """

    name: str
    type: str = "vsphere"
    description: str | None = None
    datacenter: str
    cluster: str | None = None
    esxi_host: str | None = None
    resource_pool: str | None = None
    datastore: str
    folder: str | None = None
    network: str | None = None
    storage_policy: str | None = None
    vm_template: str
    script: str | None = None
    custom_attributes: Mapping[str, str] = field(default_factory=dict)
    vtpm: str | None = None

    def placement(self) -> dict[str, Any]:
        """Return the fields that decide the hardware and location of the VM, for the digest of images."""
        return {key: value for key, value in self.to_dict().items() if key not in _NOT_PLACEMENT}

    def with_empty_fields(self, stored: ConnectorDocument | None) -> ConnectorDocument:
        """Return the connector with the empty fields of ``stored``, which mean the same as fields that are not set.

        The digest of images depends on them: published images stay as they are.
        """
        empty: dict[str, Any] = {
            name: ""
            for name in _MAY_BE_EMPTY
            if stored is not None and getattr(stored, name) == "" and getattr(self, name) is None
        }
        return replace(self, **empty) if empty else self

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object. Fields that came later are absent while they are not set: the digest of images stays the same."""
        later = {"storage_policy": self.storage_policy, "vtpm": self.vtpm}
        return self._complete(
            {
                "type": self.type,
                "description": self.description,
                "datacenter": self.datacenter,
                "cluster": self.cluster,
                # The name of this key is part of the digest of every image.
                "esxi_hostname": self.esxi_host,
                "resource_pool": self.resource_pool,
                "datastore": self.datastore,
                "folder": self.folder,
                "network": self.network,
                "vm_template": self.vm_template,
                "script": self.script,
                "name": self.name,
                "custom_attributes": dict(self.custom_attributes),
                **{key: value for key, value in later.items() if value},
            }
        )

    def result(self) -> dict[str, Any]:
        """Return the connector as modules return it."""
        return self.to_dict() | {
            "esxi_host": self.esxi_host,
            "storage_policy": self.storage_policy,
            "vtpm": self.vtpm or VTPM_REFUSE,
        }

    @classmethod
    def from_dict(cls, value: object, name: str) -> ConnectorDocument:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(CONNECTOR, name))
        return cls(
            name=fields.text("name"),
            type=fields.later("type", fields.text, "vsphere", "vsphere"),
            description=fields.later("description", fields.text_or_none, None),
            datacenter=fields.text("datacenter"),
            cluster=fields.later("cluster", fields.text_or_none, None),
            esxi_host=fields.later("esxi_hostname", fields.text_or_none, None),
            resource_pool=fields.later("resource_pool", fields.text_or_none, None),
            datastore=fields.text("datastore"),
            folder=fields.later("folder", fields.text_or_none, None),
            network=fields.later("network", fields.text_or_none, None),
            storage_policy=fields.text_or_none("storage_policy") if fields.has("storage_policy") else None,
            vm_template=fields.text("vm_template"),
            script=fields.later("script", fields.text_or_none, None),
            custom_attributes=fields.later("custom_attributes", fields.text_map, {}, {}),
            vtpm=fields.text_or_none("vtpm") if fields.has("vtpm") else None,
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
