# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record the noise profile of an OS layer version from the disk of an untouched packaging machine.

The disk is compared with the image of the OS layer as for a capture, but without rules: rules differ by the kind of a layer
and change with releases, and a profile is kept for as long as its OS layer version.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ...common.progress import Progress, silent
from ...images.stored.thin_image import ThinImage
from ...ntfs.volume import Volume
from ...ntfs.volume_process import run_on_volume
from ...windows.finalize_checks import check_finalized
from ...windows.installation import WindowsInstallation, exists
from ...winregistry.delta import CREATE, Delta
from ...winregistry.delta_compute import compute_delta
from ...winregistry.hive_items import Value
from ...winregistry.hive_names import HIVES
from ...winregistry.registry_values import decode_string
from ..changed_paths import PathBuilder
from ..disks import Opener, difference, grains_that_differ, open_packaged
from ..hazards.accounts import observe_accounts
from ..hazards.files import FileWatch
from ..hazards.observed import Observed
from ..hazards.registry import observe_delta
from ..hive_changes import HivePairs
from ..path_changes import PathChanges, Taken
from ..rules import LeftOut, RuleSet
from . import file_content
from .noise_profile import ADDED, CHANGED, DATA, DIRECTORY, FILE, REMOVED, NoiseProfile, PathNoise

_UNINSTALL = (
    "Microsoft\\Windows\\CurrentVersion\\Uninstall",
    "WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall",
)


@dataclass
class Recorded:
    """A recorded profile in its stored form, and the numbers of its changes.

    ``gate`` are the findings of the finalize checks. ``programs`` are programs that were installed in the packaging machine,
    which then was not left untouched.
    """

    content: bytes
    changes: dict[str, int]
    gate: list[dict] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)


def record_profile(base_image: ThinImage, opener: Opener, *, progress: Progress = silent) -> Recorded:
    """Return what differs between ``base_image``, the image of an OS layer alone, and the disk that ``opener`` opens.

    Raises:
        Conflict, Unsupported, Corrupt: as ``capture``.
    """
    with base_image.repository.pin([base_image.manifest.digest], purpose="record a noise profile"):
        recorded: Recorded = run_on_volume(_record, base_image, opener, subject="the packaged disk", progress=progress)
    return recorded


def _record(base_image: ThinImage, opener: Opener, *, progress: Progress = silent) -> Recorded:
    with ExitStack() as stack:
        packaged = open_packaged(base_image, opener, stack)
        disks = difference(packaged, grains_that_differ(packaged, base_image, progress=progress))
        old = stack.enter_context(Volume.mount(packaged.before))
        new = stack.enter_context(Volume.mount(packaged.after))
        gate = check_finalized(WindowsInstallation.open(new))
        hives = HivePairs(old, new)
        compared = [hive for hive in HIVES.values() if exists(old, hive.path)]
        observed = Observed()
        watch = FileWatch(observed)
        builder = PathBuilder(packaged, old, new, RuleSet([]), LeftOut(), [hive.path for hive in compared])
        changes = builder.build(disks.files)
        for taken in changes.taken.values():
            watch.left_out(FILE, "", taken.path)
            watch.taken(taken.path)
        deltas: dict[str, Delta] = {}
        for hive in compared:
            before, after = hives.get("old", hive.path), hives.get("new", hive.path)
            if new.upcase(hive.path) in changes.touched_hives and before is not None and after is not None:
                deltas[hive.name] = compute_delta(before, after, name=hive.name)
                observe_delta(deltas[hive.name], observed)
            hives.release(hive.path)
        if watch.accounts_touched:
            observe_accounts(hives, observed)
        profile = NoiseProfile.of(_paths(changes, old, new, progress), deltas, observed.to_dict())
        return Recorded(profile.encode(), profile.counts(), gate, _programs(deltas.get("SOFTWARE")))


def _paths(changes: PathChanges, old: Volume, new: Volume, progress: Progress) -> Sequence[PathNoise]:
    found = []
    for number, taken in enumerate(changes.taken.values()):
        progress("profile", number, len(changes.taken))
        found.append(_path(taken, old, new))
    for path in changes.whiteouts.values():
        node = old.find(path)
        if node is not None:
            with node:
                found.append(PathNoise(path, DIRECTORY if node.is_directory else FILE, REMOVED))
    return found


def _path(taken: Taken, old: Volume, new: Volume) -> PathNoise:
    with new.open(taken.reference) as node:
        aspects: tuple[str, ...] = ()
        before = old.find(taken.path) if taken.existed else None
        if before is not None:
            with before:
                aspects = (DATA,) if before.is_directory != node.is_directory else file_content.aspects_of(before, node)
        change = CHANGED if taken.existed else ADDED
        if taken.is_directory:
            return PathNoise(taken.path, DIRECTORY, change, aspects)
        content, shape = file_content.content_digest(node), file_content.shape_digest(node)
        return PathNoise(taken.path, FILE, change, aspects, content, shape)


def _programs(software: Delta | None) -> list[str]:
    """Return the names of programs that were added to the list of installed programs."""
    found = []
    for path in _UNINSTALL if software is not None else ():
        listed = software.key(path) if software is not None else None
        for key in listed.subkeys.values() if listed is not None else ():
            name = key.values.get("DISPLAYNAME")
            if key.action == CREATE and name is not None and name.data is not None:
                found.append(decode_string(Value("", name.type, name.data)) or key.name)
    return sorted(found)
