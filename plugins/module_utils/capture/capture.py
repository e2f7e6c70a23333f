# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing: what was done to a packaging machine becomes a layer in the repository.

The disk that came back is compared with the thin image that was given out; what differs is
taken with everything it has, hives as changes of keys and values. The work runs in a child
process, because libntfs-3g runs inside it; neither disk is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from ..catalog import layer_store
from ..common.progress import Progress, silent
from ..images.thin_image import ThinImage
from ..layers import entry as model
from ..layers.entry import Entry, printable
from ..layers.folder import Opener as StreamOpener
from ..layers.layer_version import LayerVersion
from ..ntfs.volume import Volume
from ..ntfs.volume_process import run_on_volume
from ..repository.repository import Repository
from ..windows.finalize_checks import check_finalized
from ..windows.installation import CONFIG, WindowsInstallation, exists
from ..winregistry.delta import Counts, Delta
from ..winregistry.delta_format import write_delta
from ..winregistry.hive_names import HIVES
from ..winregistry.registry_values import current_control_set
from .changed_paths import PathBuilder
from .disks import DiskDifference, Opener, difference, open_packaged
from .entries import entries_of
from .hazards import WATCHED, Contents, find_hazards
from .hive_changes import HivePairs, hive_delta
from .rules import LeftOut, Rule, RuleSet, default_rules, windows_rules

_SYSTEM, _SOFTWARE = f"{CONFIG}/SYSTEM", f"{CONFIG}/SOFTWARE"


@dataclass
class CaptureResult:
    """What a capture made; all but ``layer`` is JSON-compatible.

    ``changes`` counts files, directories, keys and values added, changed and removed; ``left_out``
    what the rules kept out, by kind and reason, with examples; ``hazards`` and ``gate`` are findings
    (name, result, found, action); ``statistics`` count grains, records and bytes that were compared.
    """

    layer: LayerVersion | None
    changes: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: list[dict] = field(default_factory=list)
    hazards: list[dict] = field(default_factory=list)
    gate: list[dict] = field(default_factory=list)
    statistics: dict[str, int] = field(default_factory=dict)


def check_packaged(given: ThinImage, opener: Opener) -> list[dict]:
    """The findings of the finalize gate for the packaged disk that ``opener`` opens; raises as ``capture`` does."""
    return run_on_volume(_check, given, opener, subject="the packaged disk")


def capture(
    repository: Repository,
    given: ThinImage,
    opener: Opener,
    layer: LayerVersion,
    rules: Sequence[Rule] = (),
    *,
    defaults: bool = True,
    progress: Progress = silent,
) -> CaptureResult:
    """Store as ``layer`` what turned ``given`` into the disk that ``opener`` opens.

    ``rules`` come after the default ones (none of those with ``defaults`` False) and overrule them.
    Raises Conflict when the disk does not come from ``given``, Unsupported when Windows on it was not
    shut down cleanly, is hibernated or encrypted, Corrupt when it is damaged or cut off, InvalidInput for a
    bad rule. Nothing is stored then.
    """
    with repository.pin([given.manifest.digest], purpose=f"capture the layer {layer.name} {layer.version}"):
        return run_on_volume(
            _capture,
            repository,
            given,
            opener,
            layer,
            tuple(rules),
            defaults,
            subject="the packaged disk",
            progress=progress,
        )


def preview(
    given: ThinImage, opener: Opener, rules: Sequence[Rule] = (), *, defaults: bool = True, progress: Progress = silent
) -> CaptureResult:
    """What ``capture`` would find, without storing it; ``layer`` is None."""
    return run_on_volume(
        _capture, None, given, opener, None, tuple(rules), defaults, subject="the packaged disk", progress=progress
    )


def _check(given: ThinImage, opener: Opener) -> list[dict]:
    with ExitStack() as stack:
        packaged = open_packaged(given, opener, stack)
        new = stack.enter_context(Volume.mount(packaged.after))
        return check_finalized(WindowsInstallation.open(new))


def _capture(
    repository: Repository | None,
    given: ThinImage,
    opener: Opener,
    layer: LayerVersion | None,
    rules: tuple[Rule, ...],
    defaults: bool,
    *,
    progress: Progress = silent,
) -> CaptureResult:
    with ExitStack() as stack:
        packaged = open_packaged(given, opener, stack)
        found = difference(packaged, given, progress=progress)
        old = stack.enter_context(Volume.mount(packaged.before))
        new = stack.enter_context(Volume.mount(packaged.after))
        left_out = LeftOut(watched=WATCHED)
        hives = HivePairs(old, new)
        compiled, gate = _examine(new, hives, rules, defaults)
        # A hive that the image did not have yet can only be taken as a file.
        compared = [hive for hive in HIVES.values() if exists(old, hive.path)]
        changes = PathBuilder(packaged, old, new, compiled, left_out, [hive.path for hive in compared]).build(
            found.files
        )
        deltas = {}
        for hive in compared:
            if new.upcase(hive.path) in changes.touched_hives:
                progress("registry", len(deltas), None)
                delta = hive_delta(hives, hive.path, hive.name, compiled, left_out)
                if not delta.is_empty:
                    deltas[hive.name] = delta
            hives.release(hive.path)
        counted = _Counted(changes.removed_files, sum(1 for _one in changes.whiteouts))
        entries = counted.count(entries_of(new, changes), changes)
        if layer is None or repository is None:
            for _entry in entries:
                pass
        else:
            stored = [(name, write_delta(delta)) for name, delta in deltas.items()]
            layer = layer_store.put_files(repository, layer, entries, hives=stored, progress=progress)
        for path in changes.respelled:
            left_out.add("file", "spelling", printable(path))
        contents = Contents(counted.paths, list(changes.whiteouts.values()), deltas, left_out)
        return CaptureResult(
            layer,
            counted.changes(deltas),
            left_out.report(),
            find_hazards(contents),
            gate,
            _statistics(found),
        )


def _examine(new: Volume, hives: HivePairs, rules: tuple[Rule, ...], defaults: bool) -> tuple[RuleSet, list[dict]]:
    """The compiled rules and the findings of the gate."""
    windows = WindowsInstallation.open(new)
    hives.keep("new", _SYSTEM, windows.system)
    hives.keep("new", _SOFTWARE, windows.software)
    system = hives.get("old", _SYSTEM)
    # What the base lists counts: an installer must not widen it.
    control = current_control_set(system if system is not None else windows.system)
    before = [*windows_rules(control), *default_rules()] if defaults else []
    return RuleSet([*before, *rules], current=control.name), check_finalized(windows)


class _Counted:
    """Counts entries on their way to the archive."""

    def __init__(self, removed_files: int, whiteouts: int) -> None:
        self.paths: list[str] = []
        self._files = {"added": 0, "changed": 0, "removed": removed_files}
        self._directories = {"added": 0, "changed": 0}
        self._whiteouts = whiteouts
        self._bytes = 0

    def count(
        self, entries: Iterator[tuple[Entry, StreamOpener | None]], changes
    ) -> Iterator[tuple[Entry, StreamOpener | None]]:
        """Pass the entries on."""
        existed = {taken.path: taken.existed for taken in changes.taken.values()}
        for entry, opener in entries:
            if entry.kind != model.WHITEOUT and not entry.implied:
                target = self._directories if entry.kind == model.DIRECTORY else self._files
                target["changed" if existed[entry.path] else "added"] += 1
                self.paths.append(entry.path)
            self._bytes += entry.size
            yield entry, opener

    def changes(self, deltas: dict[str, Delta]) -> dict[str, dict[str, int]]:
        """The counts, with those of the registry."""
        total = Counts()
        for delta in deltas.values():
            for name, number in asdict(delta.counts()).items():
                setattr(total, name, getattr(total, name) + number)
        return {
            "files": dict(self._files, bytes=self._bytes),
            "directories": self._directories,
            "removals": {"paths": self._whiteouts},
            "keys": {"added": total.keys_added, "changed": total.keys_changed, "removed": total.keys_removed},
            "values": {"added": total.values_added, "changed": total.values_changed, "removed": total.values_removed},
        }


def _statistics(found: DiskDifference) -> dict[str, int]:
    return {
        "grains_compared": found.grains_compared,
        "grains_different": found.grains_different,
        "records_compared": found.files.records_compared,
        "files_different": len(found.files.files),
        "bytes_compared": found.files.bytes_compared,
        "whole_table_read": int(found.files.scanned),
    }
