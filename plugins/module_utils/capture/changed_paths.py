# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute the paths that a layer adds or removes from the files that differ between two volumes."""

from __future__ import annotations

from collections.abc import Collection

from ..layers.entry import leads_elsewhere, printable
from ..ntfs.file_names import DOS
from ..ntfs.file_state import Name
from ..ntfs.journals import journals_of, main_name
from ..ntfs.node import Node
from ..ntfs.record_paths import Paths
from ..ntfs.volume import Volume
from ..ntfs.volume_compare import FIRST_USER, FileChange, VolumeDifference
from ..windows.component_store import is_component_path
from .disks import Packaged
from .file_compare import has_same_streams, has_same_values, lost_metadata
from .path_changes import PathChanges, Taken, ancestors, path_problem_of, starts
from .rule import Rule
from .rules import LeftOut, RuleSet
from .system_files import ChangedNames, SystemFiles

_WINDOWS = "WINDOWS/"


class PathBuilder:
    """Turns a VolumeDifference into PathChanges. ``old`` and ``new`` are the volumes, mounted read-only."""

    def __init__(
        self, packaged: Packaged, old: Volume, new: Volume, rules: RuleSet, left_out: LeftOut, hives: Collection[str]
    ) -> None:
        self._old, self._new = old, new
        self._before, self._after = Paths(packaged.old), Paths(packaged.new)
        self._rules, self._left_out = rules, left_out
        self._folders: dict[str, str] = {"": ""}
        self._hives = {self.fold(path) for path in hives}
        self._final: set[str] = set()
        self._candidates: list[tuple[Taken, bool]] = []
        self._moved: list[tuple[str, int]] = []
        self._known: set[str] = set()
        self._links: dict[str, bool] = {}
        self._system = SystemFiles()
        self._reported: set[tuple[str, str]] = set()
        self.result = PathChanges()

    def fold(self, path: str) -> str:
        """Return a whole path as the volume compares it."""
        above, separator, name = path.rpartition("/")
        folded = self._folders.get(above)
        if folded is None:
            folded = self._folders[above] = "/".join(self._new.upcase(part) for part in above.split("/"))
        return folded + separator + self._new.upcase(name)

    def build(self, difference: VolumeDifference) -> PathChanges:
        """Return the changes of paths for all files that differ."""
        changes = [
            (change, self._paths(self._before, change.before), self._paths(self._after, change.after))
            for change in difference.files
        ]
        for _change, before, _after in changes:
            self._known.update(self.fold(path) for _name, path in before)
        names = (ChangedNames(_only_paths(before), _only_paths(after)) for _change, before, after in changes)
        self._system = SystemFiles.find(names, self.fold)
        for change, before, after in changes:
            if change.is_directory:
                self._directory(change, before, after)
            else:
                self._file(change, before, after)
        for path, reference in self._moved:
            self._take_tree(path, reference)
        self._complete_databases()
        self._choose(self._collisions())
        self._settle()
        return self.result

    @staticmethod
    def _paths(paths: Paths, names: tuple[Name, ...] | None) -> list[tuple[Name, str]]:
        named = [(name, paths.path(name)) for name in names or ()]
        return [(name, path) for name, path in named if path]

    def _directory(self, change: FileChange, before: list[tuple[Name, str]], after: list[tuple[Name, str]]) -> None:
        if not after:
            for _name, path in before:
                self._remove(path)
            return
        name, path = after[0]
        if not before:
            if change.case_sensitivity:
                self._report_metadata("case_sensitivity", path)
            self._take(path, change.reference, name, True, fresh=True)
            return
        old_name = before[0][0]
        if old_name != name:
            if old_name.parent == name.parent and self._new.upcase(old_name.name) == self._new.upcase(name.name):
                self.result.respelled.append(path)
            else:
                if not self._moves_system_files(change.reference, before[0][1], path):
                    self._replace(before[0][1], path, change.reference, name)
                return
        if change.case_sensitivity:
            self._report_metadata("case_sensitivity", path)
        if self._is_changed(change, [path]):
            self._changed_directory(change, name, path)

    def _replace(self, old_path: str, path: str, reference: int, name: Name) -> None:
        """Remove a folder and take it with everything below it."""
        self._remove(old_path, final=True)
        self._moved.append((path, reference))
        self._take(path, reference, name, True, fresh=True)

    def _changed_directory(self, change: FileChange, name: Name, path: str) -> None:
        """Take a folder whose metadata changed. Report what an image cannot lose: streams, attributes, a reparse point.

        A folder that was a link to another folder is replaced.
        """
        with self._old.open(change.reference) as old, self._new.open(change.reference) as new:
            lost = lost_metadata(old, new)
            no_longer_leads = leads_elsewhere(old.reparse) and not leads_elsewhere(new.reparse)
        if no_longer_leads:
            self._replace(path, path, change.reference, name)
            return
        for kind in lost:
            self._report_metadata(kind, path)
        self._take(path, change.reference, name, True)

    def _report_metadata(self, reason: str, path: str) -> None:
        if (reason, path) not in self._reported and self._rule(path) is None:
            self._reported.add((reason, path))
            self._left_out.add("metadata", reason, printable(path))

    def _file(self, change: FileChange, before: list[tuple[Name, str]], after: list[tuple[Name, str]]) -> None:
        old, new = {name for name, _path in before}, {name for name, _path in after}
        for name, path in before:
            if name not in new:
                self._remove(path)
                self.result.removed_files += self.fold(path) in self.result.whiteouts
        if not before or new - old or self._is_changed(change, [path for _name, path in (*before, *after)]):
            for name, path in after:
                self._take(path, change.reference, name, False, fresh=name not in old)

    def _is_changed(self, change: FileChange, paths: list[str]) -> bool:
        """Return whether a file or folder that kept its names has other data or metadata; values are compared by content.

        Below the folder of Windows, times, extended attributes and the form of storage do not count: Windows changes them
        by itself. It compresses files elsewhere as well (CompactOS); that is a change only together with another change.
        """
        is_system = any(self.fold(path).startswith(_WINDOWS) for path in paths)
        if change.metadata or change.incidental and not is_system:
            return True
        if not (change.data or change.values or change.form):
            return False
        with self._old.open(change.reference) as old, self._new.open(change.reference) as new:
            if change.form and not is_system and not (old.is_external or new.is_external):
                return True
            if change.values and not has_same_values(old, new, with_eas=not is_system):
                return True
            if new.is_external and not old.is_external and not change.incidental and old.size == new.size:
                # Windows compressed a file and kept its times. If rules exclude the file, decompressing it decides nothing:
                # 'compact /compactos:always' compresses gigabytes that servicing owns.
                if all(self._rule(path) is not None for path in paths):
                    return False
            return (change.data or old.reparse != new.reparse) and not has_same_streams(old, new)

    def _moves_system_files(self, reference: int, old_path: str, path: str) -> bool:
        """Report a folder that was renamed or moved if it contains system files; return whether it is left out."""
        rule = self._rules.file(path, serviced=True)
        if rule is None or not rule.serviced or not self._has_system_files(reference):
            return False
        self._left_out.add("file", rule.reason, printable(path), rule.pattern)
        self._left_out.add("removal", rule.reason, printable(old_path), rule.pattern)
        return True

    def _has_system_files(self, reference: int) -> bool:
        waiting = [reference]
        while waiting:
            with self._new.open(waiting.pop()) as node:
                children = list(node.children())
            waiting += [child.reference for child in children if child.is_directory]
            for child in children:
                if not child.is_directory and any(map(is_component_path, self._other_names(child.reference))):
                    return True
        return False

    def _other_names(self, reference: int) -> list[str]:
        with self._new.open(reference) as node:
            names = _long_names(node)
        return [path for path in map(self._after.path, names) if path]

    def _rule(self, path: str) -> Rule | None:
        """Return the rule that leaves out a path."""
        return self._rules.file(path, serviced=self._system.own(self.fold(path)))

    def _take_tree(self, path: str, reference: int) -> None:
        waiting = [(path, reference)]
        while waiting:
            above, directory = waiting.pop()
            with self._new.open(directory) as node:
                children = list(node.children())
                if node.is_case_sensitive:
                    self._report_metadata("case_sensitivity", above)
            for child in children:
                below = f"{above}/{child.name}"
                if child.is_directory:
                    self._take(below, child.reference, Name(directory, child.name), True, fresh=True)
                    waiting.append((below, child.reference))
                    continue
                with self._new.open(child.reference) as node:
                    links = _long_names(node)
                for name in links:
                    other = self._after.path(name)
                    if other:
                        self._take(other, child.reference, name, False)

    def _is_hive(self, path: str) -> bool:
        """Return whether a path is a hive that is compared by keys, or one of its logs; record the hive."""
        folded = self.fold(path)
        base = folded if folded in self._hives else (main_name(folded) or folded.removesuffix(".LOG"))
        if base not in self._hives:
            return False
        self.result.touched_hives.add(base)
        return True

    def _complete_databases(self) -> None:
        """Take the main file and all journals of a database if one of them was changed or removed.

        A lower layer, or a different version of the OS layer, may have other states of the files that did not change.
        """
        chosen = {self.fold(taken.path) for taken, _is_fresh in self._candidates if not taken.is_directory}
        folders: dict[str, set[str]] = {}
        for taken, _is_fresh in self._candidates:
            main = main_name(taken.path)
            if not taken.is_directory and (main is not None or taken.existed):
                self._add_main(folders, main or taken.path)
        for path in self.result.whiteouts.values():
            main = main_name(path)
            if main is not None:
                self._add_main(folders, main)
        for above, mains in sorted(folders.items()):
            self._complete_folder(above, mains, chosen)

    def _add_main(self, folders: dict[str, set[str]], path: str) -> None:
        above, _separator, name = path.rpartition("/")
        folders.setdefault(above, set()).add(self._new.upcase(name))

    def _complete_folder(self, above: str, mains: set[str], chosen: set[str]) -> None:
        folder = self._new.find(above)
        if folder is None:
            return
        with folder:
            if not folder.is_directory:
                return
            members = {self._new.upcase(child.name): child for child in folder.children() if not child.is_directory}
        journals = journals_of(members.values(), mains, self._new.upcase)
        for main in sorted(mains & members.keys()):
            for child in (members[main], *journals.get(main, ())):
                if self.fold(f"{above}/{child.name}" if above else child.name) not in chosen:
                    self._take_unchanged(child.reference)

    def _take_unchanged(self, reference: int) -> None:
        """Take a file that did not change, with all its names."""
        with self._new.open(reference) as node:
            names = _long_names(node)
        for name in names:
            path = self._after.path(name)
            if path:
                self._known.add(self.fold(path))
                self._take(path, reference, name, False)

    def _take(self, path: str, reference: int, name: Name, is_directory: bool, *, fresh: bool = False) -> None:
        if reference & 0xFFFFFFFFFFFF < FIRST_USER or not is_directory and self._is_hive(path):
            return
        rule = self._rule(path)
        if rule is not None:
            self._left_out.add("file", rule.reason, printable(path), rule.pattern)
            return
        problem = path_problem_of(path)
        if problem:
            self._left_out.add("file", "name", f"{printable(path)} {problem}")
            return
        self._candidates.append((Taken(path, reference, name, is_directory, self.fold(path) in self._known), fresh))

    def _remove(self, path: str, *, final: bool = False) -> None:
        if self._is_hive(path):
            return
        rule = self._rule(path)
        if rule is not None:
            self._left_out.add("removal", rule.reason, printable(path), rule.pattern)
            return
        if path_problem_of(path):
            self._left_out.add("removal", "name", printable(path))
            return
        folded = self.fold(path)
        self.result.whiteouts[folded] = path
        if final:
            self._final.add(folded)

    def _collisions(self) -> dict[str, str]:
        """Return new paths that differ only in case from another path in their folder, with that path.

        A layer cannot distinguish them.
        """
        fresh = {taken.path: taken.name.parent for taken, is_fresh in self._candidates if is_fresh}
        collisions: dict[str, str] = {}
        for above, folder in sorted({(path.rpartition("/")[0], folder) for path, folder in fresh.items()}):
            spellings: dict[str, list[str]] = {}
            with self._new.open(folder) as node:
                for child in node.children():
                    spellings.setdefault(self._new.upcase(child.name), []).append(
                        f"{above}/{child.name}" if above else child.name
                    )
            for paths in spellings.values():
                if len(paths) > 1:
                    kept = min(paths, key=lambda path: (path in fresh, path))
                    collisions.update((path, kept) for path in paths if path in fresh and path != kept)
        return collisions

    def _choose(self, collisions: dict[str, str]) -> None:
        """Select the candidates for the layer.

        Paths in ``collisions`` and below them are excluded. Of paths that differ only in case, one is selected.
        """
        chosen: dict[str, tuple[Taken, bool]] = {}
        spelled: dict[str, str] = {"": ""}
        for taken, fresh in self._candidates:
            dropped = next((path for path in (taken.path, *ancestors(taken.path)) if path in collisions), None)
            if dropped is not None:
                self._report_case(taken.path, collisions[dropped], below=dropped != taken.path)
                continue
            above = taken.path.rpartition("/")[0]
            folder = self._spelling(above, spelled)
            if folder != above:
                self._report_case(taken.path, folder, below=True)
                continue
            folded = self.fold(taken.path)
            other = chosen.get(folded)
            if other is not None and other[0].path != taken.path:
                first, second = sorted(((taken, fresh), other), key=lambda candidate: (candidate[1], candidate[0].path))
                self._report_case(second[0].path, first[0].path)
                chosen[folded] = first
            else:
                chosen[folded] = taken, fresh
        self.result.taken.update((folded, taken) for folded, (taken, _fresh) in chosen.items())

    def _spelling(self, folder: str, spelled: dict[str, str]) -> str:
        """Return the spelling of a folder that was used first. The image may have folders that differ only in case."""
        folded, path = self.fold(folder), ""
        if folded not in spelled:
            for name, key in zip(folder.split("/"), starts(folded)):
                path = spelled.setdefault(key, f"{path}/{name}" if path else name)
        return spelled[folded]

    def _report_case(self, path: str, other: str, *, below: bool = False) -> None:
        relation = "is in a folder that differs" if below else "differs"
        self._left_out.add("file", "case", f"{printable(path)} {relation} only in case from {printable(other)}")

    def _settle(self) -> None:
        """Drop redundant removals: of replaced paths, below another removal, and below a file or link of the layer."""
        whiteouts = self.result.whiteouts
        for folded in [folded for folded in whiteouts if folded in self.result.taken and folded not in self._final]:
            del whiteouts[folded]
        for folded in sorted(whiteouts, key=len, reverse=True):
            if any(above in whiteouts or self._is_leaf(above) for above in ancestors(folded)):
                del whiteouts[folded]

    def _is_leaf(self, folded: str) -> bool:
        taken = self.result.taken.get(folded)
        if taken is None or not taken.is_directory:
            return taken is not None
        if folded not in self._links:
            with self._new.open(taken.reference) as node:
                self._links[folded] = leads_elsewhere(node.reparse)
        return self._links[folded]


def _long_names(node: Node) -> list[Name]:
    """Return the names of a file except its 8.3 names."""
    return [Name(name.parent, name.name) for name in node.file_names if name.namespace != DOS]


def _only_paths(named: list[tuple[Name, str]]) -> tuple[str, ...]:
    return tuple(path for _name, path in named)
