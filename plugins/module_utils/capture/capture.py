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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from ..catalog import layer_store
from ..common.child_process import ChildCall
from ..common.findings import WARN, Finding
from ..common.progress import Progress, silent
from ..images.stored.thin_image import ThinImage
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
from .disks import DiskDifference, Opener, Packaged, difference, grains_that_differ, open_packaged
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


#: Judges the findings of the finalize checks; raises an error to end the capture.
GateJudge = Callable[[list[dict]], None]


def _accept(_gate: list[dict]) -> None:
    """Capture the disk also if checks failed."""


def capture(
    repository: Repository,
    base_image: ThinImage,
    opener: Opener,
    layer: LayerVersion,
    rules: Sequence[Rule | DatabaseRule] = (),
    *,
    noise: NoiseProfile | None = None,
    judge_gate: GateJudge = _accept,
    progress: Progress = silent,
) -> CaptureResult:
    """Store as ``layer`` the changes that turned ``base_image`` into the disk that ``opener`` opens.

    ``rules`` come after the default rules and override them. What ``noise`` has is left out, unless a rule includes it.
    ``judge_gate`` gets the findings of the finalize checks before anything is compared, and raises an error to refuse
    the disk. If an error is raised, no layer is stored.

    Raises:
        Conflict: the disk does not descend from ``base_image``.
        Unsupported: Windows on the disk was not shut down cleanly, is hibernated or is encrypted, or a file to
            capture is encrypted.
        Corrupt: the disk is damaged or truncated.
        InvalidInput: a rule is not valid.
    """
    request = _Request(repository, base_image, layer, tuple(rules), noise, judge_gate)
    with repository.pin([base_image.manifest.digest], purpose=f"capture the {layer.label}"):
        return run_on_volume(_capture, request, opener, subject="the packaged disk", progress=progress)


@dataclass(frozen=True)
class _Request:
    repository: Repository
    base_image: ThinImage
    layer: LayerVersion
    rules: tuple[Rule | DatabaseRule, ...]
    noise: NoiseProfile | None
    judge_gate: GateJudge


def _capture(request: _Request, opener: Opener, *, progress: Progress = silent) -> CaptureResult:
    with ExitStack() as stack:
        packaged = open_packaged(request.base_image, opener, stack)
        return _Capture(request, packaged, stack, progress).run()


class _Capture:
    """The steps of a capture on two opened disks; ``stack`` closes their volumes."""

    def __init__(self, request: _Request, packaged: Packaged, stack: ExitStack, progress: Progress) -> None:
        self._request = request
        self._packaged = packaged
        self._stack = stack
        self._progress = progress
        self._old = stack.enter_context(Volume.mount(packaged.before))
        self._new = stack.enter_context(Volume.mount(packaged.after))
        self._hives = HivePairs(self._old, self._new)
        self._observed = Observed()
        noise = request.noise
        self._watch = FileWatch(
            self._observed, functools.partial(exists, self._new), noise.paths if noise is not None else ()
        )
        self._left_out = LeftOut(observer=self._watch.left_out)

    def run(self) -> CaptureResult:
        """Store the layer and describe it."""
        examined, disks = self._examine_and_compare()
        changes, deltas = self._changes(examined, disks)
        counter = _EntryCounter(changes)
        stored = [(name, write_delta(delta)) for name, delta in deltas.items()]
        entries = counter.count(entries_of(self._new, changes))
        request = self._request
        layer = layer_store.put_files(request.repository, request.layer, entries, hives=stored, progress=self._progress)
        hazards = self._hazards(examined, changes, counter.paths)
        return CaptureResult(
            layer, counter.totals(deltas), self._left_out.report(), hazards, examined.gate, _statistics(disks)
        )

    def _examine_and_compare(self) -> tuple[_Examined, DiskDifference]:
        """Read the hives while another process hashes the disk, if two processes can read it: both need a processor."""
        packaged, base_image = self._packaged, self._request.base_image
        if packaged.disk.forked_reads:
            with ChildCall(
                grains_that_differ, packaged, base_image, progress=self._progress, subject="the packaged disk"
            ) as hashing:
                examined = self._examine(*self._check())
                grains = hashing.result()
        else:
            examined = self._examine(*self._check())
            grains = grains_that_differ(packaged, base_image, progress=self._progress)
        return examined, difference(packaged, grains)

    def _check(self) -> tuple[WindowsInstallation, list[dict]]:
        after = WindowsInstallation.open(self._new)
        self._keep("new", after)
        gate = check_finalized(after)
        self._request.judge_gate(gate)
        return after, gate

    def _examine(self, after: WindowsInstallation, gate: list[dict]) -> _Examined:
        before = WindowsInstallation.open(self._old) if is_windows(self._old) else None
        if before is not None:
            self._keep("old", before)
        compared = Compared(before, after, self._request.layer.kind)
        # The lists of the base image count: an installer must not extend them.
        control = (before or after).control
        defaults = [
            *windows_rules(control),
            *default_rules(),
            *database_rules(compared.kind),
            *found_rules(compared),
        ]
        expanded = expand(defaults, self._request.rules)
        compiled = RuleSet([*defaults, *expanded], current=control.name, defaults=len(defaults))
        databases = RuleSet([rule for rule in defaults if rule.database], current=control.name)
        overrides = Overrides(RuleSet(expanded, current=control.name), databases)
        return _Examined(compiled, overrides, gate, cleanings(compared, self._request.rules), Numbering.of(compared))

    def _keep(self, side: str, windows: WindowsInstallation) -> None:
        self._hives.keep(side, _SYSTEM, windows.system)
        self._hives.keep(side, _SOFTWARE, windows.software)

    def _changes(self, examined: _Examined, disks: DiskDifference) -> tuple[PathChanges, dict[str, Delta]]:
        """Return the changes of paths and hives that the layer gets."""
        # A hive that the image does not have can only be captured as a file.
        compared = [hive for hive in HIVES.values() if exists(self._old, hive.path)]
        builder = PathBuilder(
            self._packaged, self._old, self._new, examined.rules, self._left_out, [hive.path for hive in compared]
        )
        changes = builder.build(disks.files)
        touched = [hive for hive in compared if self._new.upcase(hive.path) in changes.touched_hives]
        for hive in compared:
            if hive not in touched:
                self._hives.release(hive.path)
        deltas = self._deltas(touched, examined)
        noise = self._request.noise
        if noise is not None:
            paths = PathSubtraction(noise, self._old, self._new, builder.fold)
            for item in NoiseFilter(noise, examined.overrides, paths).apply(changes, deltas, self._left_out):
                self._observed.add(NOISE, item)
        self._number(touched, examined.numbering, changes, deltas)
        return changes, deltas

    def _deltas(self, touched: Sequence[LayerHive], examined: _Examined) -> dict[str, Delta]:
        """Return the deltas of the hives that changed, by name."""
        deltas: dict[str, Delta] = {}
        steps: list[DeltaStep] = [
            functools.partial(observe_delta, observed=self._observed),
            *examined.steps,
        ]
        for hive in touched:
            self._progress("registry", len(deltas), None)
            delta = hive_delta(self._hives, hive, examined.rules, self._left_out, steps)
            if not delta.is_empty:
                deltas[hive.name] = delta
            if delta.is_empty or examined.numbering.is_empty:
                self._hives.release(hive.path)
        return deltas

    def _number(
        self, touched: Sequence[LayerHive], numbering: Numbering, changes: PathChanges, deltas: Mapping[str, Delta]
    ) -> None:
        """Give devices and driver packages the numbers of the layer: rules and noise profiles name those of Windows."""
        if numbering.is_empty:
            return
        numbering.apply_to_paths(changes)
        for hive in touched:
            after = self._hives.get("new", hive.path) if hive.name in deltas else None
            if after is not None:
                numbering.apply_to_delta(deltas[hive.name], after)
            self._hives.release(hive.path)

    def _hazards(self, examined: _Examined, changes: PathChanges, stored: Sequence[str]) -> list[dict]:
        """Return the warnings about what was captured and left out, after recording what nothing else reports."""
        for path in changes.respelled:
            self._left_out.add("file", "spelling", printable(path))
        for path in changes.completed:
            self._left_out.add("metadata", "no_group", printable(path))
        boot = compare_boot(self._packaged, self._old, self._new).report(self._left_out)
        for path in (*stored, *changes.whiteouts.values()):
            self._watch.taken(path)
        if self._watch.accounts_touched:
            observe_accounts(self._hives, self._observed)
        noise = self._request.noise
        return [
            *find_hazards(self._observed, noise.observed if noise is not None else None),
            *_divided(examined.rules),
            *boot,
        ]


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
