# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a vCenter and of its virtual machines in documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import Fields, Stored

_MACHINE_FIELDS = ("name", "moid", "instance_uuid", "path", "datacenter")


@dataclass(frozen=True)
class VCenterRecord(Stored):
    """A vCenter: the name by which it was reached, and the identifier that it keeps under any name."""

    hostname: str
    instance_uuid: str

    def is_same(self, other: VCenterRecord) -> bool:
        """Return whether both name the same vCenter."""
        return self.instance_uuid == other.instance_uuid

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete({"hostname": self.hostname, "instance_uuid": self.instance_uuid})

    @classmethod
    def from_fields(cls, fields: Fields) -> VCenterRecord:
        """Read the JSON object; Corrupt names the field that is damaged."""
        hostname, instance_uuid = fields.text("hostname"), fields.text("instance_uuid")
        return cls(hostname, instance_uuid, unrecognized=fields.unrecognized())


@dataclass(frozen=True)
class MachineRecord(Stored):
    """A virtual machine. While it is being created, its ``moid`` and ``instance_uuid`` are not known yet (None)."""

    name: str
    moid: str | None = None
    instance_uuid: str | None = None
    path: str | None = None
    datacenter: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without what is not known."""
        values = {key: getattr(self, key) for key in _MACHINE_FIELDS}
        return self._complete({key: value for key, value in values.items() if value is not None})

    @classmethod
    def from_fields(cls, fields: Fields) -> MachineRecord:
        """Read the JSON object; Corrupt names the field that is damaged."""
        return cls(
            name=fields.text("name"),
            moid=fields.text_if_present("moid"),
            instance_uuid=fields.text_if_present("instance_uuid"),
            path=fields.text_if_present("path"),
            datacenter=fields.text_if_present("datacenter"),
            unrecognized=fields.unrecognized(),
        )

    @classmethod
    def read(cls, fields: Fields, key: str = "vm") -> MachineRecord | None:
        """Read the field ``key`` of a document, which may be null."""
        found = fields.record_or_none(key)
        return cls.from_fields(found) if found is not None else None


@dataclass(frozen=True)
class UploadRecord(Stored):
    """An upload that a host has received whole, and the VM whose disk it is.

    ``size`` is in bytes, ``sha1`` in hexadecimal. ``confirmed_by`` is the digest by which the host confirmed the bytes, None if it
    reported none. ``completed``: vCenter has completed the lease of the upload.
    """

    moid: str
    instance_uuid: str
    size: int
    sha1: str
    confirmed_by: str | None
    completed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._complete(
            {
                "moid": self.moid,
                "instance_uuid": self.instance_uuid,
                "size": self.size,
                "sha1": self.sha1,
                "confirmed_by": self.confirmed_by,
                "completed": self.completed,
            }
        )

    @classmethod
    def read(cls, fields: Fields, key: str = "upload") -> UploadRecord | None:
        """Read the field ``key`` of a document, which may be null; Corrupt names the field that is damaged."""
        found = fields.record_or_none(key)
        if found is None:
            return None
        return cls(
            moid=found.text("moid"),
            instance_uuid=found.text("instance_uuid"),
            size=found.number("size"),
            sha1=found.text("sha1"),
            confirmed_by=found.text_or_none("confirmed_by"),
            completed=found.flag("completed"),
            unrecognized=found.unrecognized(),
        )
