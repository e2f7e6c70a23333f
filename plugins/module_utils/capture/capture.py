# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture a packaging machine: store the changes on its disk as a layer in the repository.

The disk of the packaging machine is compared with the thin image that the packaging machine started from. The
differences become the layer; changes in hives become changes of keys and values. The work runs in a child
process, because libntfs-3g runs in it. Neither disk is written.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace

from ..catalog import layer_store
from ..common.findings import WARN, Finding
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
from ..windows.installation import CONFIG, WindowsInstallation, exists, is_windows
from ..winregistry.delta import Counts, Delta
from ..winregistry.delta_format import write_delta
from ..winregistry.hive_names import HIVES, LayerHive
from .boot_changes import compare_boot
from .changed_paths import PathBuilder
from .databases.all import DIVISIBLE, cleanings, database_rules, expand, found_rules
from .databases.compared import Compared
from .disks import DiskDifference, Opener, difference, open_packaged
from .entries import entries_of
from .hazards.accounts import observe_accounts
from .hazards.all import find_hazards
from .hazards.files import FileWatch
from .hazards.observed import Observed
from .hazards.registry import observe_delta
from .hive_changes import DeltaStep, HivePairs, hive_delta
from .noise.filter import NoiseFilter
from .noise.noise_profile import NoiseProfile
from .noise.paths import PathSubtraction
from .noise.subtraction import REASON as NOISE
from .noise.subtraction import Overrides
from .numbering import Numbering
from .path_changes import PathChanges
from .rule import DatabaseRule, Rule
from .rules import LeftOut, RuleSet, default_rules, windows_rules

_SYSTEM, _SOFTWARE = f"{CONFIG}/SYSTEM", f"{CONFIG}/SOFTWARE"


@dataclass
class CaptureResult:
    """The result of a capture; everything except ``layer`` is JSON-compatible.

    ``changes`` counts files, directories, keys and values added, changed and removed. ``left_out`` describes what
    the rules excluded, by kind and reason, with examples. ``hazards`` and ``gate`` are findings
    (name, result, found, action). ``statistics`` counts grains, records and bytes that were compared.
    """

    layer: LayerVersion
    changes: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: list[dict] = field(default_factory=list)
    hazards: list[dict] = field(default_factory=list)
    gate: list[dict] = field(default_factory=list)
    statistics: dict[str, int] = field(default_factory=dict)


def check_packaged(base_image: ThinImage, opener: Opener) -> list[dict]:
    """Return the findings of the finalize checks for the packaged disk that ``opener`` opens.

    Raises:
        Conflict, Unsupported, Corrupt: as ``capture``.
    """
    return run_on_volume(_check, base_image, opener, subject="the packaged disk")


def capture(
    repository: Repository,
    base_image: ThinImage,
    opener: Opener,
    layer: LayerVersion,
    rules: Sequence[Rule | DatabaseRule] = (),
    *,
    noise: NoiseProfile | None = None,
    progress: Progress = silent,
) -> CaptureResult:
    """Store as ``layer`` the changes that turned ``base_image`` into the disk that ``opener`` opens.

    ``rules`` come after the default rules and override them. What ``noise`` has is left out, unless a rule includes it.
    If an error is raised, no layer is stored.

    Raises:
        Conflict: the disk does not descend from ``base_image``.
        Unsupported: Windows on the disk was not shut down cleanly, is hibernated or is encrypted, or a file to
            capture is encrypted.
        Corrupt: the disk is damaged or truncated.
        InvalidInput: a rule is not valid.
    """
    with repository.pin([base_image.manifest.digest], purpose=f"capture the {layer.label}"):
        return run_on_volume(
            _capture,
            repository,
            base_image,
            opener,
            layer,
            tuple(rules),
            noise,
            subject="the packaged disk",
            progress=progress,
        )


def _check(base_image: ThinImage, opener: Opener) -> list[dict]:
    with ExitStack() as stack:
        packaged = open_packaged(base_image, opener, stack)
        new = stack.enter_context(Volume.mount(packaged.after))
        return check_finalized(WindowsInstallation.open(new))


def _capture(
    repository: Repository,
    base_image: ThinImage,
    opener: Opener,
    layer: LayerVersion,
    rules: tuple[Rule | DatabaseRule, ...],
    noise: NoiseProfile | None,
    *,
    progress: Progress = silent,
) -> CaptureResult:
    with ExitStack() as stack:
        packaged = open_packaged(base_image, opener, stack)
        disks = difference(packaged, base_image, progress=progress)
        old = stack.enter_context(Volume.mount(packaged.before))
        new = stack.enter_context(Volume.mount(packaged.after))
        observed = Observed()
        watch = FileWatch(observed, functools.partial(exists, new), noise.paths if noise else ())
        left_out = LeftOut(observer=watch.left_out)
        hives = HivePairs(old, new)
        examined = _examine(old, new, hives, layer.kind, rules)
        # A hive that the image does not have can only be captured as a file.
        compared = [hive for hive in HIVES.values() if exists(old, hive.path)]
        builder = PathBuilder(packaged, old, new, examined.rules, left_out, [hive.path for hive in compared])
        changes = builder.build(disks.files)
        steps: list[DeltaStep] = [functools.partial(observe_delta, observed=observed), *examined.steps]
        examined = replace(examined, steps=steps)
        deltas = _deltas(hives, compared, changes.touched_hives, examined, left_out, progress)
        if noise is not None:
            paths = PathSubtraction(noise, old, new, builder.fold)
            for item in NoiseFilter(noise, examined.overrides, paths).apply(changes, deltas, left_out):
                observed.add(NOISE, item)
        _number(hives, compared, examined.numbering, changes, deltas)
        counter = _EntryCounter(changes)
        stored = [(name, write_delta(delta)) for name, delta in deltas.items()]
        entries = counter.count(entries_of(new, changes))
        layer = layer_store.put_files(repository, layer, entries, hives=stored, progress=progress)
        for path in changes.respelled:
            left_out.add("file", "spelling", printable(path))
        for path in changes.completed:
            left_out.add("metadata", "no_group", printable(path))
        boot = compare_boot(packaged, old, new).report(left_out)
        for path in (*counter.paths, *changes.whiteouts.values()):
            watch.taken(path)
        if watch.accounts_touched:
            observe_accounts(hives, observed)
        hazards = [*find_hazards(observed, noise.observed if noise else None), *_divided(examined.rules), *boot]
        totals, report = counter.totals(deltas), left_out.report()
        return CaptureResult(layer, totals, report, hazards, examined.gate, _statistics(disks))


@dataclass(frozen=True)
class _Examined:
    """What both installations decide.

    The compiled rules, the rules that override a noise profile, the findings of the finalize checks, and changes of the
    deltas.
    """

    rules: RuleSet
    overrides: Overrides
    gate: list[dict]
    steps: Sequence[DeltaStep]
    numbering: Numbering


def _examine(
    old: Volume, new: Volume, hives: HivePairs, kind: str, rules: tuple[Rule | DatabaseRule, ...]
) -> _Examined:
    after = WindowsInstallation.open(new)
    _keep(hives, "new", after)
    before = WindowsInstallation.open(old) if is_windows(old) else None
    if before is not None:
        _keep(hives, "old", before)
    gate = check_finalized(after)
    compared = Compared(before, after, kind)
    # The lists of the base image count: an installer must not extend them.
    control = (before or after).control
    defaults = [
        *windows_rules(control),
        *default_rules(),
        *database_rules(kind),
        *found_rules(compared),
    ]
    expanded = expand(defaults, rules)
    compiled = RuleSet([*defaults, *expanded], current=control.name, defaults=len(defaults))
    databases = RuleSet([rule for rule in defaults if rule.database], current=control.name)
    overrides = Overrides(RuleSet(expanded, current=control.name), databases)
    return _Examined(compiled, overrides, gate, cleanings(compared, rules), Numbering.of(compared))


def _divided(rules: RuleSet) -> list[dict]:
    """Return a finding for each database of which rules of the user divide the members."""
    return [
        asdict(
            Finding(
                "split_database",
                WARN,
                f"rules of the option exclusions divide the database {name}: {taken} was captured, {missing} was not",
                f"Use a rule with 'database: {name}' instead, which decides about all its files and keys.",
            )
        )
        for name, taken, missing in rules.divided.found()
        if name not in DIVISIBLE
    ]


def _keep(hives: HivePairs, side: str, windows: WindowsInstallation) -> None:
    hives.keep(side, _SYSTEM, windows.system)
    hives.keep(side, _SOFTWARE, windows.software)


def _deltas(
    hives: HivePairs,
    compared: Sequence[LayerHive],
    touched: Collection[str],
    examined: _Examined,
    left_out: LeftOut,
    progress: Progress,
) -> dict[str, Delta]:
    """Return the deltas of the hives that changed, by name."""
    deltas: dict[str, Delta] = {}
    for hive in compared:
        if hives.new.upcase(hive.path) in touched:
            progress("registry", len(deltas), None)
            delta = hive_delta(hives, hive, examined.rules, left_out, examined.steps)
            if not delta.is_empty:
                deltas[hive.name] = delta
        if hive.name not in deltas or examined.numbering.is_empty:
            hives.release(hive.path)
    return deltas


def _number(
    hives: HivePairs,
    compared: Sequence[LayerHive],
    numbering: Numbering,
    changes: PathChanges,
    deltas: Mapping[str, Delta],
) -> None:
    """Give devices and driver packages the numbers of the layer: rules and noise profiles name those of Windows."""
    if numbering.is_empty:
        return
    numbering.apply_to_paths(changes)
    for hive in compared:
        after = hives.get("new", hive.path) if hive.name in deltas else None
        if after is not None:
            numbering.apply_to_delta(deltas[hive.name], after)
        hives.release(hive.path)


class _EntryCounter:
    """Counts entries on their way to the archive."""

    def __init__(self, changes: PathChanges) -> None:
        self.paths: list[str] = []
        self._existed = {taken.path: taken.existed for taken in changes.taken.values()}
        self._files = {"added": 0, "changed": 0, "removed": changes.removed_files}
        self._directories = {"added": 0, "changed": 0}
        self._whiteouts = len(changes.whiteouts)
        self._bytes = 0

    def count(
        self, entries: Iterator[tuple[Entry, StreamOpener | None]]
    ) -> Iterator[tuple[Entry, StreamOpener | None]]:
        """Yield the entries and count them."""
        for entry, opener in entries:
            if entry.kind != model.WHITEOUT and not entry.implied:
                target = self._directories if entry.kind == model.DIRECTORY else self._files
                target["changed" if self._existed[entry.path] else "added"] += 1
                self.paths.append(entry.path)
            self._bytes += entry.size
            yield entry, opener

    def totals(self, deltas: dict[str, Delta]) -> dict[str, dict[str, int]]:
        """Return the counts, with those of the registry."""
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


def _statistics(disks: DiskDifference) -> dict[str, int]:
    return {
        "grains_compared": disks.grains_compared,
        "grains_different": disks.grains_different,
        "records_compared": disks.files.records_compared,
        "files_different": len(disks.files.files),
        "bytes_compared": disks.files.bytes_compared,
        "whole_table_read": int(disks.files.scanned),
    }
