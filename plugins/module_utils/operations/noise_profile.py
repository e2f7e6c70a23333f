# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise profile of an OS layer version: record it from the disk of an untouched packaging machine, remove it, and use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import noise_profiles
from ..catalog.noise_profile_record import NoiseProfileRecord
from ..common.errors import InvalidInput
from ..common.findings import FAIL
from ..common.progress import Progress, silent
from ..layers.layer_version import LayerReference
from ..repository.repository import Repository
from ..shares.open import ShareCredentials
from .packaged_disk import PackagedDisk, packaged_disk_exists

if TYPE_CHECKING:
    from ..capture.noise.noise_profile import NoiseProfile

#: The value of the option noise_profile of app and platform layers with which a profile is used if there is one.
AUTO = "auto"


@dataclass(frozen=True)
class NoiseProfileOptions:
    """The option noise_profile of the module os_layer: the disk of an untouched packaging machine, or ``absent``."""

    packaged_disk: str | None
    absent: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | None) -> NoiseProfileOptions | None:
        """Read the option, None if it is not set."""
        return cls(params["packaged_disk"], params["state"] == "absent") if params else None


@dataclass(frozen=True)
class UsedNoise:
    """A noise profile that a capture uses, and the digest of its content."""

    profile: NoiseProfile
    digest: str


def find_noise(repository: Repository, os_layer: LayerReference) -> UsedNoise | None:
    """Return the noise profile of an OS layer version, None if it has no profile.

    Raises:
        NotFound, Corrupt: the content of the profile is missing or damaged.
    """
    from ..capture.noise.noise_profile import NoiseProfile

    record = noise_profiles.find_record(repository, os_layer)
    if record is None:
        return None
    return UsedNoise(NoiseProfile.decode(noise_profiles.load(repository, record)), record.digest)


@dataclass(frozen=True)
class NoiseProfileChange:
    """The result of a run: the descriptions of the profile before and after, None for no profile, and warnings."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changed: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoiseProfileKeeper:
    """Brings the noise profile of an OS layer version into its state. The caller holds the lock of the layer."""

    repository: Repository
    os_layer: LayerReference
    credentials: ShareCredentials
    comment: str | None
    check_mode: bool
    progress: Progress = silent

    def ensure(self, options: NoiseProfileOptions | None) -> NoiseProfileChange:
        """Record or remove the profile; without options only describe it.

        A recorded profile is kept if it was recorded from the disk of the options, or if this disk no longer exists.

        Raises:
            InvalidInput: ``operations.noise_no_disk``, ``operations.packaged_missing``.
            Conflict, Unsupported, Corrupt: as ``record_profile``.
        """
        record = noise_profiles.find_record(self.repository, self.os_layer)
        before = record.result() if record else None
        if options is None:
            return NoiseProfileChange(before, before)
        if options.absent:
            if record is not None and not self.check_mode:
                noise_profiles.remove(self.repository, self.os_layer, comment=self.comment)
            return NoiseProfileChange(before, None, record is not None)
        if self._is_recorded(record, options.packaged_disk):
            return NoiseProfileChange(before, before)
        if options.packaged_disk is None:
            raise self._no_disk()
        return self._record(before, PackagedDisk.open(options.packaged_disk, self.credentials))

    def _is_recorded(self, record: NoiseProfileRecord | None, path: str | None) -> bool:
        if record is None:
            return False
        # The disk may be deleted once its profile has been recorded.
        if path is None or not packaged_disk_exists(path, self.credentials):
            return True
        return PackagedDisk.open(path, self.credentials).is_recorded(record.source)

    def _record(self, before: dict[str, Any] | None, packaged: PackagedDisk) -> NoiseProfileChange:
        from ..capture.noise.record import record_profile
        from ..images.composing.layered_image import compose_stack

        opener, source = packaged.opener(), packaged.describe()
        if self.check_mode:
            planned = {"digest": None, "size": 0, "source": source, "changes": {}, "created": None}
            return NoiseProfileChange(before, planned, True)
        if packaged.package is not None:
            packaged.package.verify(self.progress)
        base = compose_stack(self.repository, self.os_layer, (), progress=self.progress)
        recorded = record_profile(base, opener, progress=self.progress)
        record = noise_profiles.store(
            self.repository,
            self.os_layer,
            recorded.content,
            source=source,
            changes=recorded.changes,
            comment=self.comment,
        )
        unfinished = [finding for finding in recorded.gate if finding["result"] == FAIL]
        warnings = [f"{self._subject}: {f['name']}: {f['found']}. {f['action']}" for f in unfinished]
        if recorded.programs:
            warnings.append(
                f"{self._subject} was recorded from a VM in which programs were installed: {', '.join(recorded.programs[:5])}. "
                "Captures leave out what they changed. Record it again from a packaging machine that was left alone."
            )
        return NoiseProfileChange(before, record.result(), True, tuple(warnings))

    @property
    def _subject(self) -> str:
        return f"The noise profile of the OS layer {self.os_layer.name} {self.os_layer.version}"

    def _no_disk(self) -> InvalidInput:
        return InvalidInput(
            f"{self._subject} does not exist, and no disk to record it from is set.",
            code="operations.noise_no_disk",
            hint="Set packaged_disk of the option noise_profile to the disk of a packaging machine of the kind noise.",
        )
