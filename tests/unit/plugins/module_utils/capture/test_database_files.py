# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases with journals, captured and composed: the image has a main file and journals of the same state.

SQLite in WAL mode represents databases of Windows and of applications.
"""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import Packaging, capture_change, make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import existing, put

JOURNALS = ("-wal", "-shm")
STATE = "ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd"
STORE = "ProgramData/App/store.db"


class Database:
    """An SQLite database in WAL mode; ``files`` are the bytes on the disk after each step, by suffix."""

    def __init__(self, folder: str, files: dict[str, bytes] | None = None) -> None:
        self._path = os.path.join(folder, "live.db")
        for suffix, data in (files or {}).items():
            with open(self._path + suffix, "wb") as out:
                out.write(data)
        self._folder = folder
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self.run("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0")

    def run(self, *statements: str) -> None:
        """Execute statements."""
        for statement in statements:
            self._connection.execute(statement).fetchall()

    def files(self) -> dict[str, bytes]:
        """Return the files as they are when Windows is shut down while the database is open."""
        return {
            suffix: open(self._path + suffix, "rb").read()
            for suffix in ("", *JOURNALS)
            if os.path.exists(self._path + suffix)
        }

    def close(self) -> dict[str, bytes]:
        """Close the database, which removes the journals, and return its files."""
        self._connection.close()
        return self.files()


def fill(name: str) -> str:
    return f"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 400) INSERT INTO package SELECT '{name}'||i, randomblob(300) FROM n"


@pytest.fixture(name="states", scope="module")
def _states(tmp_path_factory):
    """The files of the OS layer, with transactions in the journal only, and two states that packaging machines leave."""
    live = Database(str(tmp_path_factory.mktemp("os")))
    live.run("CREATE TABLE package(name UNIQUE, manifest)", fill("inbox"), "PRAGMA wal_checkpoint(TRUNCATE)")
    live.run("UPDATE package SET name=replace(name,'inbox','update') WHERE rowid%3=0")
    states = {"os": live.files()}
    live.close()
    for name, closes in (("first", False), ("second", True)):
        pack = Database(str(tmp_path_factory.mktemp(name)), states["os"])
        pack.run("PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM package WHERE rowid%5=0", fill(name))
        if not closes:
            pack.run("PRAGMA wal_checkpoint(TRUNCATE)", f"UPDATE package SET manifest='{name}' WHERE rowid%7=0")
        states[name] = pack.files() if not closes else pack.close()
        if not closes:
            pack.close()
    assert set(states["second"]) == {""}
    return states


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory, states):
    folder = tmp_path_factory.mktemp("packaging")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    with FileDevice(raw, writable=True) as device:
        partition = max(read_partitions(device).partitions, key=lambda partition: partition.size)
        with Volume.mount(partition.window(device), writable=True) as volume:
            for path in (STATE, STORE):
                for suffix, data in states["os"].items():
                    put(volume, path + suffix, data)
            put(volume, "ProgramData/App/readme-journal", b"not a journal")
    return Packaging(str(folder), raw)


def changed(path: str, files: dict[str, bytes]):
    """Return the change of a volume that leaves exactly these files of a database."""

    def change(volume: Volume) -> None:
        put(volume, "Program Files/App/app.exe", b"MZ app")
        for suffix in ("", *JOURNALS):
            if suffix in files:
                put(volume, path + suffix, files[suffix])
            else:
                with existing(volume, path + suffix) as node:
                    node.delete()

    return change


def look(packaging: Packaging, layers, path: str, folder: str) -> tuple[str, set[str]]:
    """Return the result of SQLite's check of a database in an image, and the kinds of packages in it."""
    image = packaging.compose(layers)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    target = os.path.join(folder, "image.db")
    with image.open_disk() as disk, Volume.mount(packaging.partition.window(disk)) as volume:
        for suffix in ("", *JOURNALS):
            node = volume.find(path + suffix)
            if node is not None:
                with node, open(target + suffix, "wb") as out:
                    out.write(node.read())
    connection = sqlite3.connect(target)
    try:
        (checked,) = connection.execute("PRAGMA integrity_check").fetchone()
        names = connection.execute("SELECT DISTINCT rtrim(name, '0123456789') FROM package").fetchall()
    finally:
        connection.close()
    return checked, {name for (name,) in names}


@pytest.mark.parametrize("state", ["first", "second"])
def test_state_repository_of_the_image_is_that_of_the_os_layer(packaging, states, state, tmp_path):
    result, entries, _deltas = capture_change(packaging, changed(STATE, states[state]))
    assert sorted(entries) == ["Program Files/App", "Program Files/App/app.exe"]
    assert {entry["reason"] for entry in result.left_out} == {"store_apps"}
    assert look(packaging, [result.layer], STATE, str(tmp_path / "x")) == ("ok", {"inbox", "update"})


def test_state_repository_is_taken_whole_by_a_rule(packaging, states, tmp_path):
    result, _entries, _deltas = capture_change(
        packaging, changed(STATE, states["second"]), {"database": "store_apps", "action": "include"}
    )
    assert result.hazards == [] or "split_database" not in [hazard["name"] for hazard in result.hazards]
    assert look(packaging, [result.layer], STATE, str(tmp_path / "x")) == ("ok", {"inbox", "second", "update"})


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_database_of_an_application_is_that_of_the_highest_layer(packaging, states, order, tmp_path):
    """The journals of a lower layer and of the OS layer are not applied to the main file of the highest layer."""
    layers = [capture_change(packaging, changed(STORE, states[state]))[0].layer for state in order]
    assert look(packaging, layers, STORE, str(tmp_path / "x")) == ("ok", {"inbox", order[1], "update"})
    assert look(packaging, layers[:1], STORE, str(tmp_path / "y")) == ("ok", {"inbox", order[0], "update"})


def test_database_of_which_one_file_changed_is_captured_whole(packaging, states):
    """A journal that did not change is captured with its main file, and a main file with its journal."""
    for suffix in ("", "-wal"):
        files = dict(states["os"])
        files[suffix] += b"\0" * 4096
        _result, entries, _deltas = capture_change(packaging, changed(STORE, files))
        assert {path for path in entries if path.startswith(STORE)} == {STORE, f"{STORE}-wal", f"{STORE}-shm"}
    files = {"": states["os"][""]}
    _result, entries, _deltas = capture_change(packaging, changed(STORE, files))
    found = {path: kind for path, kind in entries.items() if path.startswith(STORE)}
    assert found == {STORE: "file", f"{STORE}-wal": "whiteout", f"{STORE}-shm": "whiteout"}


def test_database_that_a_rule_leaves_out_is_left_out_whole(packaging, states):
    _result, entries, _deltas = capture_change(packaging, changed(STORE, states["first"]), {"path": STORE})
    assert [path for path in entries if path.startswith(STORE)] == []


def test_file_that_only_looks_like_a_journal_is_captured_alone(packaging):
    def change(volume: Volume) -> None:
        put(volume, "ProgramData/App/readme-journal", b"changed")

    _result, entries, _deltas = capture_change(packaging, change)
    assert sorted(entries) == ["ProgramData/App/readme-journal"]
