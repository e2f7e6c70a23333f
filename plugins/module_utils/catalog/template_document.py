# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of image templates: which layer versions an image consists of, and how it is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import DocumentName, Fields, Stored, without_none
from .kinds import TEMPLATE
from .script_record import ScriptRecord
from .version_name import VersionName

#: The policy for outdated files of templates that were stored before the option existed. The module has another default.
DEFAULT_OUTDATED_FILES = "layer"


@dataclass(frozen=True, kw_only=True)
class TemplateDocument(Stored):
    """An image template.

    ``disk_size_gb`` is None to keep the size of the OS layer. ``outdated_files`` and
    ``registry_lists`` are the options of the same names of the module image_template. ``icon`` is a
    digest or None. ``former_names`` are names that the template had; VMs that were published then have them in their settings.
    They are missing in the document of a template that was not renamed.
    """

    name: str
    description: str
    os_layer: VersionName
    app_layers: tuple[VersionName, ...]
    platform_layer: VersionName | None
    connector: str
    disk_size_gb: int | None
    vm_name: str
    publish_mode: str
    created: str
    outdated_files: str = DEFAULT_OUTDATED_FILES
    registry_lists: tuple[dict[str, Any], ...] = ()
    icon: str | None = None
    script: ScriptRecord | None = None
    former_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "name": self.name,
                "description": self.description,
                "os_layer": self.os_layer.to_dict(),
                "app_layers": [layer.to_dict() for layer in self.app_layers],
                "platform_layer": self.platform_layer.to_dict() if self.platform_layer else None,
                "outdated_files": self.outdated_files,
                "registry_lists": list(self.registry_lists),
                "connector": self.connector,
                "disk_size_gb": self.disk_size_gb,
                "vm_name": self.vm_name,
                "publish_mode": self.publish_mode,
                "icon": self.icon,
                "created": self.created,
                "script": self.script.to_dict() if self.script else None,
                **without_none(former_names=list(self.former_names) or None),
            }
        )

    @classmethod
    def from_dict(cls, value: object, name: str) -> TemplateDocument:
        """Read the document that is stored as ``name``; Corrupt names the field that is damaged."""
        fields = Fields(value, DocumentName(TEMPLATE, name))
        platform = fields.record_or_none("platform_layer")
        return cls(
            name=fields.text("name"),
            description=fields.text("description"),
            os_layer=VersionName.from_fields(fields.record("os_layer")),
            app_layers=tuple(VersionName.from_fields(record) for record in fields.records("app_layers")),
            platform_layer=VersionName.from_fields(platform) if platform is not None else None,
            outdated_files=fields.later("outdated_files", fields.text, DEFAULT_OUTDATED_FILES, DEFAULT_OUTDATED_FILES),
            registry_lists=fields.later("registry_lists", fields.json_list, (), []),
            connector=fields.text("connector"),
            disk_size_gb=fields.number_or_none("disk_size_gb"),
            vm_name=fields.text("vm_name"),
            publish_mode=fields.text("publish_mode"),
            icon=fields.later("icon", fields.text_or_none, None),
            created=fields.text("created"),
            script=fields.later("script", lambda key: ScriptRecord.read(fields, key), None),
            former_names=fields.texts("former_names") if fields.has("former_names") else (),
            unrecognized=fields.unrecognized(),
            omitted=fields.omitted,
        )
