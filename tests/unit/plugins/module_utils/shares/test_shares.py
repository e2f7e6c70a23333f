# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of this host and on a real Samba server, side by side, and what happens when a server goes away."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.common.child_process import run_in_child
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unavailable, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.common.optional_imports import (
    smb_connection,
    smb_errors,
)
from ansible_collections.strata.layering.plugins.module_utils.shares import smb_client, smb_files, smb_status
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb import SmbShare
from ansible_collections.strata.layering.tests.support.samba import Line, Samba

_MIB = 1 << 20
_HASTY = {"delays": (0.05, 0.1, 0.3), "answer_timeout": 2}


@pytest.fixture(scope="module")
def samba(tmp_path_factory):
    with Samba(tmp_path_factory.mktemp("samba")) as server:
        yield server


def smb(samba, port: int | None = None, share: str = "data", path: str = "", **options) -> SmbShare:
    return SmbShare.at(
        samba.address(share, path, port), **{"username": samba.username, "password": samba.password} | options
    )


@pytest.fixture(params=["local", "smb"])
def both(request, samba, tmp_path):
    """A share and the folder of this host that is behind it."""
    folder = tmp_path / "share" if request.param == "local" else samba.path / uuid.uuid4().hex
    folder.mkdir()
    share = LocalShare(os.fspath(folder)) if request.param == "local" else smb(samba, path=folder.name)
    with share:
        yield SimpleNamespace(share=share, folder=folder)


@pytest.fixture
def large(samba):
    """A file of some MiB on the server: its name and its bytes."""
    data = random.Random(7).randbytes(12 * _MIB + 12345)
    name = f"{uuid.uuid4().hex}.bin"
    (samba.path / name).write_bytes(data)
    yield SimpleNamespace(name=name, data=data, path=samba.path / name)
    (samba.path / name).unlink()


def test_files_and_folders(both):
    share, folder = both.share, both.folder
    assert share.is_folder() and share.names() == [] and share.stat("a") is None
    share.make_folders("a/b c")
    share.make_folders("a/b c")
    share.write("a/b c/ä.txt", b"one")
    share.write("a/b c/ä.txt", b"two")
    status = share.stat("a/b c/ä.txt")
    written = (folder / "a" / "b c" / "ä.txt").stat()
    assert (status.size, status.is_folder) == (3, False) and abs(status.mtime_ns - written.st_mtime_ns) < 1000
    assert [(name, found.size) for name, found in share.names("a/b c")] == [("ä.txt", 3)] and share.read(
        "a/b c/ä.txt", 2
    ) == b"tw"
    below = share.folder("a").folder("b c")
    assert below.read("ä.txt", 9) == b"two" and below.where("x") == share.where("a/b c/x") and below.is_file("ä.txt")
    assert (
        share.remove_folder("a/b c") is False
        and share.remove("a/b c/ä.txt") is True
        and share.remove("a/b c/ä.txt") is False
    )
    assert (
        share.remove_folder("a/b c") is True
        and share.remove_folder("a/b c") is False
        and not (folder / "a" / "b c").exists()
    )
    free, total = share.space()
    assert 0 < free <= total
    share.check_writable()
    for missing in (lambda: share.open("none"), lambda: share.names("none"), lambda: share.open("a/none/x")):
        with pytest.raises(FileNotFoundError):
            missing()


def test_files_appear_whole_or_not_at_all(both):
    share, folder = both.share, both.folder
    share.write("x", b"before")
    with pytest.raises(KeyError), share.create("x", temporary=f"{TEMPORARY_PREFIX}mine") as out:
        out.write(b"half" * _MIB)
        assert (folder / "x").read_bytes() == b"before" and (folder / f"{TEMPORARY_PREFIX}mine").exists()
        raise KeyError
    assert os.listdir(folder) == ["x"] and (folder / "x").read_bytes() == b"before"


def test_what_earlier_writers_left_is_removed(samba):
    with smb(samba, path="leftovers") as share:
        share.make_folders()
        folder = samba.path / "leftovers"
        with pytest.raises(KeyError), share.create("report"):
            [name] = os.listdir(folder)
            raise KeyError
        for left, age in ((name, 90000), (f"{name}x", 60), (f"{TEMPORARY_PREFIX}of-another", 90000)):
            (folder / left).write_bytes(b"half")
            os.utime(folder / left, (time.time() - age,) * 2)
        share.write("report", b"whole")
    assert set(os.listdir(folder)) == {"report", f"{name}x", f"{TEMPORARY_PREFIX}of-another"}


def test_writing_anywhere(both):
    chance = random.Random(3)
    expected = bytearray()
    with both.share.create("x") as out:
        for unused in range(60):
            place, data = (
                chance.choice((len(expected), chance.randrange(3 * _MIB))),
                chance.randbytes(chance.choice((1, 700, 1 << 16, _MIB + 3))),
            )
            out.seek(place)
            assert out.write(data) == len(data)
            expected.extend(bytes(max(0, place + len(data) - len(expected))))
            expected[place : place + len(data)] = data
    assert (both.folder / "x").read_bytes() == expected


def test_reading_anywhere(samba, large):
    chance = random.Random(5)
    with smb(samba) as share, share.open(large.name) as stream:
        assert stream.read() == large.data and stream.read(1) == b"" and stream.seek(0, os.SEEK_END) == len(large.data)
        for unused in range(200):
            place, count = chance.randrange(len(large.data) + 99), chance.choice((1, 512, 70000, 3 * _MIB))
            stream.seek(place)
            assert stream.read(count) == large.data[place : place + count]


def test_reading_goes_on_after_the_connection_was_cut(samba, large):
    with (
        Line(samba.port, cut_after=5 * _MIB) as line,
        smb(samba, line.port, **_HASTY) as share,
        share.open(large.name) as stream,
    ):
        assert stream.read() == large.data and line.cuts == 1 and line.connections == 2


def test_writing_goes_on_after_the_connection_was_cut(samba, large, monkeypatch):
    monkeypatch.setattr(smb_files, "_UNSAFE", 2 * _MIB)
    for place in (1, 6, 11):
        with Line(samba.port, cut_after=place * _MIB) as line, smb(samba, line.port, **_HASTY) as share:
            with share.create("copy") as out:
                for start in range(0, len(large.data), 300000):
                    out.write(large.data[start : start + 300000])
            assert line.cuts == 1
        assert (samba.path / "copy").read_bytes() == large.data and not [
            name for name in os.listdir(samba.path) if name.startswith(TEMPORARY_PREFIX)
        ]
        (samba.path / "copy").unlink()


def test_a_file_that_changes_meanwhile_is_not_read_on(samba, large):
    for change in (
        lambda: large.path.write_bytes(large.data[::-1]),
        lambda: os.truncate(large.path, _MIB),
        lambda: os.rename(large.path, f"{large.path}.x"),
    ):
        with Line(samba.port, cut_after=4 * _MIB, then=change) as line, smb(samba, line.port, **_HASTY) as share:
            with share.open(large.name) as stream, pytest.raises(Corrupt, match="changed while"):
                stream.read()
        large.path.write_bytes(large.data)


def test_server_that_stays_away(samba, large):
    with Line(samba.port, cut_after=4 * _MIB, then=samba.kill) as line, smb(samba, line.port, **_HASTY) as share:
        with pytest.raises(Unavailable) as caught, share.open(large.name) as stream:
            stream.read()
        assert (
            caught.value.code == "shares.gone"
            and large.name in caught.value.message
            and share.name.rpartition("/")[0] in caught.value.message
        )
        samba.start()
        assert share.read(large.name, 5) == large.data[:5]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("msg_worker")]


def test_children_have_connections_of_their_own(samba, large):
    with smb(samba) as share, share.open(large.name) as stream:
        assert stream.read(10) == large.data[:10]
        for unused in range(2):
            assert run_in_child(lambda: (stream.read(100), share.read(large.name, 3)), subject="a file") == (
                large.data[10:110],
                large.data[:3],
            )
        assert stream.read(100) == large.data[10:110]


def test_links_and_namespaces_are_not_followed(samba, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    for name, target in (
        ("out", os.fspath(tmp_path)),
        ("file", os.fspath(tmp_path / "secret")),
        ("elsewhere", "msdfs:other\\share"),
    ):
        os.symlink(target, samba.path / name)
    try:
        with smb(samba) as share:
            for path in ("out/secret", "file"):
                with pytest.raises(FileNotFoundError):
                    share.read(path, 10)
        with smb(samba, share="namespace") as share, pytest.raises(Unsupported, match="DFS"):
            share.read("elsewhere/x", 10)
    finally:
        for name in ("out", "file", "elsewhere"):
            (samba.path / name).unlink()


def test_encryption_is_demanded(tmp_path):
    with Samba(tmp_path / "plain", server_smb_encrypt="off") as server:
        with smb(server) as share, pytest.raises(Unsupported, match="does not encrypt"):
            share.is_folder()
        with smb(server, encrypt=False) as share:
            share.write("x", b"signed")
            assert (
                share.facts() == {"dialect": "3.1.1", "encrypted": False}
                and (server.path / "x").read_bytes() == b"signed"
            )


@pytest.mark.parametrize(("encrypted", "message"), [(True, "not encrypted"), (False, "could not be verified")])
def test_answers_in_the_clear_are_refused(encrypted, message):
    connection = smb_client._connection_class()(uuid.uuid4(), "server")
    connection.dialect, connection.strict = 0x311, True
    connection.session_table[5] = SimpleNamespace(encrypt_data=encrypted, signing_key=bytes(16))
    with pytest.raises(smb_errors.SMBException, match=message):
        connection.verify_signature(smb_connection.SMB2HeaderResponse(), 5)


class _Answers:
    """A connection whose server answers anything with these bytes, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def send(self, *unused):
        return None

    def receive(self, _request):
        return {"data": SimpleNamespace(get_value=lambda: self.answers.pop(0))}


def _live(*answers):
    return smb_client.Live(_Answers(*answers), SimpleNamespace(session_id=1), SimpleNamespace(tree_connect_id=1))


@pytest.mark.parametrize("answer", [b"", b"\x59\0", bytes(12)])
def test_answers_that_are_cut_short_count_as_a_lost_connection(answer):
    opened = SimpleNamespace(file_id=bytes(16))
    with pytest.raises(smb_status.Lost):
        smb_client.Handle(_live(), opened, answer)
    handle = smb_client.Handle(_live(answer, answer), opened, bytes(88))
    for question in (handle.space, handle.identity):
        with pytest.raises(smb_status.Lost):
            question()


def test_a_folder_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(smb_client, "MOST_NAMES", 1000)
    opened = SimpleNamespace(query_directory=lambda *unused, **options: (None, lambda _request: ["x"] * 300))
    handle = smb_client.Handle(_live(*[b""] * 100), opened, bytes(88))
    with pytest.raises(Unsupported, match="more than 1000"):
        handle.names()


class _Unordered:
    """A server that does what came last before what it is waited for."""

    def __init__(self):
        self.file, self.under_way = bytearray(), []
        self.usable, self.credits, self.size, self.lock, self.live = True, 512, 0, threading.RLock(), self
        self.opened = SimpleNamespace(
            write=lambda data, offset, send: [(offset, data)],
            flush=lambda send: [(0, b"")],
            close=lambda send: [(0, b"")],
        )

    def attempt(self, work, _place):
        return work(self)

    def open(self, *unused):
        return self

    def identity(self):
        return 1

    def send(self, message):
        self.under_way.append(message)
        return message

    def answer(self, request):
        for message in (self.under_way[-1], request) if request in self.under_way else ():
            if message in self.under_way:
                self.under_way.remove(message)
                offset, data = message
                self.file.extend(bytes(max(0, offset + len(data) - len(self.file))))
                self.file[offset : offset + len(data)] = data

    def ask(self, message):
        self.answer(self.send(message))

    def rename(self, path):
        self.name = path

    def close(self):
        self.usable = False


def test_what_is_written_over_what_is_still_under_way_stays(monkeypatch):
    monkeypatch.setattr(smb_files, "PIECE", 1000)
    server, chance = _Unordered(), random.Random(11)
    out, expected = smb_files.SmbWriter(server, "t", "x", "//server/share/x"), bytearray()
    for unused in range(200):
        place, data = (
            chance.choice((len(expected), chance.randrange(5000))),
            chance.randbytes(chance.choice((10, 900, 2500))),
        )
        out.seek(place)
        out.write(data)
        expected.extend(bytes(max(0, place + len(data) - len(expected))))
        expected[place : place + len(data)] = data
    out.finish()
    assert server.name == "x" and server.file == expected
