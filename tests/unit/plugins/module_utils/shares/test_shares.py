# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local shares and shares on a real Samba server: the same operations, and lost connections."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
import uuid
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.common.child_process import run_in_child
from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.common.optional_imports import (
    smb_connection,
    smb_errors,
)
from ansible_collections.strata.layering.plugins.module_utils.shares import share_connection, smb_client, smb_files
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb import SmbShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb_status import Lost
from ansible_collections.strata.layering.tests.support.samba import Samba, TcpProxy

_MIB = 1 << 20
_SHORT_PATIENCE = {"delays": (0.05, 0.1, 0.3), "answer_timeout": 2}


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
    """A share of each kind, and the folder of this host behind it."""
    folder = tmp_path / "share" if request.param == "local" else samba.path / uuid.uuid4().hex
    folder.mkdir()
    share = LocalShare(os.fspath(folder)) if request.param == "local" else smb(samba, path=folder.name)
    with share:
        yield SimpleNamespace(share=share, folder=folder)


@pytest.fixture
def large(samba):
    """A file of 12 MiB on the server: its name and its bytes."""
    data = random.Random(7).randbytes(12 * _MIB + 12345)
    name = f"{uuid.uuid4().hex}.bin"
    (samba.path / name).write_bytes(data)
    yield SimpleNamespace(name=name, data=data, path=samba.path / name)
    (samba.path / name).unlink()


def test_create_new_creates_a_file_once(both):
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda number=number: results.append(both.share.create_new("lock", b"%d" % number)))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    assert (both.folder / "lock").read_bytes() in (b"0", b"1", b"2", b"3")
    assert both.share.remove("lock")
    assert both.share.create_new("lock", b"again")


def test_empty_share_has_no_files(both):
    assert both.share.is_folder()
    assert both.share.names() == []
    assert both.share.stat("a") is None


def test_written_file_can_be_listed_and_read(both):
    share = both.share
    share.make_folders("a/b c")
    share.make_folders("a/b c")
    share.write("a/b c/ä.txt", b"one")
    share.write("a/b c/ä.txt", b"two")
    status = share.stat("a/b c/ä.txt")
    assert (status.size, status.is_folder) == (3, False)
    assert abs(status.mtime_ns - (both.folder / "a" / "b c" / "ä.txt").stat().st_mtime_ns) < 1000
    assert [(name, entry.size) for name, entry in share.names("a/b c")] == [("ä.txt", 3)]
    assert share.read("a/b c/ä.txt", 2) == b"tw"


def test_folder_of_a_share_is_a_share(both):
    both.share.make_folders("a/b c")
    both.share.write("a/b c/ä.txt", b"two")
    subfolder = both.share.folder("a").folder("b c")
    assert subfolder.read("ä.txt", 9) == b"two"
    assert subfolder.where("x") == both.share.where("a/b c/x")
    assert subfolder.is_file("ä.txt")


def test_remove_reports_whether_it_removed(both):
    share = both.share
    share.make_folders("a/b c")
    share.write("a/b c/ä.txt", b"two")
    assert share.remove_folder("a/b c") is False
    assert share.remove("a/b c/ä.txt") is True
    assert share.remove("a/b c/ä.txt") is False
    assert share.remove_folder("a/b c") is True
    assert share.remove_folder("a/b c") is False
    assert not (both.folder / "a" / "b c").exists()


def test_make_folders_below_a_file_raises(both):
    both.share.write("file", b"")
    with pytest.raises(Conflict) as caught:
        both.share.make_folders("file/below")
    assert caught.value.code == "shares.kind"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_make_folders_without_access_names_the_user(tmp_path, monkeypatch, number):
    def mkdir(path, *_arguments, **_options):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(Unavailable) as caught:
        LocalShare(os.fspath(tmp_path)).make_folders("packages")
    assert caught.value.code == "shares.denied"
    assert str(tmp_path / "packages") in caught.value.message
    assert f"uid {os.geteuid()}" in caught.value.message
    assert str(tmp_path) in caught.value.hint


def test_missing_share_reports_what_a_relative_path_is_relative_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = LocalShare("layers").missing()
    assert missing.code == "shares.missing"
    assert str(tmp_path) in missing.hint
    (tmp_path / "layers").write_bytes(b"")
    assert "create" not in LocalShare("layers").missing().hint


def test_share_reports_space_and_is_writable(both):
    free, total = both.share.space()
    assert 0 < free <= total
    both.share.check_writable()


def test_missing_file_raises_file_not_found(both):
    both.share.make_folders("a")
    for operation in (
        lambda: both.share.open("none"),
        lambda: both.share.names("none"),
        lambda: both.share.open("a/none/x"),
    ):
        with pytest.raises(FileNotFoundError):
            operation()


def test_create_fails_keeps_the_old_file(both):
    share, folder = both.share, both.folder
    share.write("x", b"before")
    with pytest.raises(KeyError), share.create("x", temporary=f"{TEMPORARY_PREFIX}mine") as out:
        out.write(b"half" * _MIB)
        assert (folder / "x").read_bytes() == b"before"
        assert (folder / f"{TEMPORARY_PREFIX}mine").exists()
        raise KeyError
    assert os.listdir(folder) == ["x"]
    assert (folder / "x").read_bytes() == b"before"


def test_create_removes_abandoned_files_of_earlier_writers(samba):
    with smb(samba, path="leftovers") as share:
        share.make_folders()
        folder = samba.path / "leftovers"
        with pytest.raises(KeyError), share.create("report"):
            [name] = os.listdir(folder)
            raise KeyError
        for leftover, age in ((name, 90000), (f"{name}x", 60), (f"{TEMPORARY_PREFIX}of-another", 90000)):
            (folder / leftover).write_bytes(b"half")
            os.utime(folder / leftover, (time.time() - age,) * 2)
        share.write("report", b"whole")
    assert set(os.listdir(folder)) == {"report", f"{name}x", f"{TEMPORARY_PREFIX}of-another"}


def test_writer_seeks_and_writes_at_any_offset(both):
    chance = random.Random(3)
    expected = bytearray()
    with both.share.create("x") as out:
        for _round in range(60):
            offset, data = (
                chance.choice((len(expected), chance.randrange(3 * _MIB))),
                chance.randbytes(chance.choice((1, 700, 1 << 16, _MIB + 3))),
            )
            out.seek(offset)
            assert out.write(data) == len(data)
            expected.extend(bytes(max(0, offset + len(data) - len(expected))))
            expected[offset : offset + len(data)] = data
    assert (both.folder / "x").read_bytes() == expected


def test_reader_seeks_and_reads_at_any_offset(samba, large):
    chance = random.Random(5)
    with smb(samba) as share, share.open(large.name) as stream:
        assert stream.read() == large.data
        assert stream.read(1) == b""
        assert stream.seek(0, os.SEEK_END) == len(large.data)
        for _round in range(200):
            offset, count = chance.randrange(len(large.data) + 99), chance.choice((1, 512, 70000, 3 * _MIB))
            stream.seek(offset)
            assert stream.read(count) == large.data[offset : offset + count]


def test_reader_connection_lost_resumes(samba, large):
    with (
        TcpProxy(samba.port, cut_after=5 * _MIB) as proxy,
        smb(samba, proxy.port, **_SHORT_PATIENCE) as share,
        share.open(large.name) as stream,
    ):
        assert stream.read() == large.data
        assert (proxy.cuts, proxy.connections) == (1, 2)


@pytest.mark.parametrize("cut_after", [1, 6, 11])
def test_writer_connection_lost_resumes(samba, large, monkeypatch, cut_after):
    monkeypatch.setattr(smb_files, "_UNFLUSHED", 2 * _MIB)
    with (
        TcpProxy(samba.port, cut_after=cut_after * _MIB) as proxy,
        smb(samba, proxy.port, **_SHORT_PATIENCE) as share,
    ):
        with share.create("copy") as out:
            for start in range(0, len(large.data), 300000):
                out.write(large.data[start : start + 300000])
        assert proxy.cuts == 1
    assert (samba.path / "copy").read_bytes() == large.data
    assert not [name for name in os.listdir(samba.path) if name.startswith(TEMPORARY_PREFIX)]
    (samba.path / "copy").unlink()


@pytest.mark.parametrize(
    "change",
    [
        lambda large: large.path.write_bytes(large.data[::-1]),
        lambda large: os.truncate(large.path, _MIB),
        lambda large: os.rename(large.path, f"{large.path}.x"),
    ],
    ids=["replaced", "truncated", "renamed"],
)
def test_reader_file_changes_raises(samba, large, change):
    with (
        TcpProxy(samba.port, cut_after=4 * _MIB, then=lambda: change(large)) as proxy,
        smb(samba, proxy.port, **_SHORT_PATIENCE) as share,
        share.open(large.name) as stream,
        pytest.raises(Corrupt) as caught,
    ):
        stream.read()
    assert caught.value.code == "shares.changed"
    assert caught.value.details["path"].endswith(large.name)
    large.path.write_bytes(large.data)


def test_server_stays_away_raises_and_the_next_use_reconnects(samba, large):
    with (
        TcpProxy(samba.port, cut_after=4 * _MIB, then=samba.kill) as proxy,
        smb(samba, proxy.port, **_SHORT_PATIENCE) as share,
    ):
        with pytest.raises(Unavailable) as caught, share.open(large.name) as stream:
            stream.read()
        assert caught.value.code == "shares.gone"
        assert caught.value.details == {"share": share.name, "path": share.where(large.name)}
        samba.start()
        assert share.read(large.name, 5) == large.data[:5]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("msg_worker")]


def test_child_process_uses_its_own_connection(samba, large):
    with smb(samba) as share, share.open(large.name) as stream:
        assert stream.read(10) == large.data[:10]
        for _round in range(2):
            assert run_in_child(lambda: (stream.read(100), share.read(large.name, 3)), subject="a file") == (
                large.data[10:110],
                large.data[:3],
            )
        assert stream.read(100) == large.data[10:110]


@pytest.fixture
def linked(samba, tmp_path):
    """The server with links that lead out of its folder."""
    (tmp_path / "secret").write_bytes(b"secret")
    links = {
        "out": os.fspath(tmp_path),
        "file": os.fspath(tmp_path / "secret"),
        "elsewhere": "msdfs:other\\share",
    }
    for name, target in links.items():
        os.symlink(target, samba.path / name)
    yield samba
    for name in links:
        (samba.path / name).unlink()


@pytest.mark.parametrize("path", ["out/secret", "file"])
def test_symbolic_link_is_not_followed(linked, path):
    with smb(linked) as share, pytest.raises(FileNotFoundError):
        share.read(path, 10)


def test_dfs_namespace_is_refused(linked):
    with smb(linked, share="namespace") as share, pytest.raises(Unsupported) as caught:
        share.read("elsewhere/x", 10)
    assert caught.value.code == "shares.dfs"


def test_server_without_encryption_is_refused_by_default(tmp_path):
    with Samba(tmp_path / "plain", server_smb_encrypt="off") as server:
        with smb(server) as share, pytest.raises(Unsupported) as caught:
            share.is_folder()
        assert caught.value.code == "shares.encryption"
        with smb(server, encrypt=False) as share:
            share.write("x", b"signed")
            assert share.facts() == {"dialect": "3.1.1", "encrypted": False}
        assert (server.path / "x").read_bytes() == b"signed"


# The texts are those of the SMB library and of its subclass here; both become the reason of a lost connection.
@pytest.mark.parametrize(("encrypted", "message"), [(True, "not encrypted"), (False, "could not be verified")])
def test_unprotected_response_is_refused(encrypted, message):
    connection = smb_client._connection_class()(uuid.uuid4(), "server")
    connection.dialect, connection.strict = 0x311, True
    connection.session_table[5] = SimpleNamespace(encrypt_data=encrypted, signing_key=bytes(16))
    with pytest.raises(smb_errors.SMBException, match=message):
        connection.verify_signature(smb_connection.SMB2HeaderResponse(), 5)


class _FixedResponses:
    """A connection whose server sends these responses, in this order, to any request."""

    def __init__(self, *responses):
        self.responses = list(responses)

    def send(self, *_arguments):
        return None

    def receive(self, _request):
        return {"data": SimpleNamespace(get_value=lambda: self.responses.pop(0))}


def _connection(*responses):
    return share_connection.ShareConnection(
        _FixedResponses(*responses), SimpleNamespace(session_id=1), SimpleNamespace(tree_connect_id=1)
    )


@pytest.mark.parametrize("response", [b"", b"\x59\0", bytes(12)])
def test_truncated_response_counts_as_a_lost_connection(response):
    opened = SimpleNamespace(file_id=bytes(16))
    with pytest.raises(Lost):
        share_connection.Handle(_connection(), opened, response)
    handle = share_connection.Handle(_connection(response, response), opened, bytes(88))
    for query in (handle.space, handle.identity):
        with pytest.raises(Lost):
            query()


def test_endless_folder_is_refused(monkeypatch):
    monkeypatch.setattr(share_connection, "MAXIMUM_NAMES", 1000)
    opened = SimpleNamespace(query_directory=lambda *_arguments, **_options: (None, lambda _request: ["x"] * 300))
    handle = share_connection.Handle(_connection(*[b""] * 100), opened, bytes(88))
    with pytest.raises(Unsupported) as caught:
        handle.names()
    assert caught.value.code == "shares.too_many"
    assert caught.value.details == {"limit": 1000}


class _ReorderingServer:
    """A server that processes the newest request before the request that the client waits for."""

    def __init__(self):
        self.file, self.in_flight = bytearray(), []
        self.usable, self.credits, self.size, self.lock, self.connection = True, 512, 0, threading.RLock(), self
        self.opened = SimpleNamespace(
            write=lambda data, offset, send: [(offset, data)],
            flush=lambda send: [(0, b"")],
            close=lambda send: [(0, b"")],
        )

    def attempt(self, work, _location):
        return work(self)

    def open(self, *_arguments):
        return self

    def identity(self):
        return 1

    def send(self, message):
        self.in_flight.append(message)
        return message

    def receive(self, request):
        for message in (self.in_flight[-1], request) if request in self.in_flight else ():
            if message in self.in_flight:
                self.in_flight.remove(message)
                offset, data = message
                self.file.extend(bytes(max(0, offset + len(data) - len(self.file))))
                self.file[offset : offset + len(data)] = data

    def exchange(self, message):
        self.receive(self.send(message))

    def rename(self, path):
        self.name = path

    def close(self):
        self.usable = False


def test_overlapping_writes_keep_their_order(monkeypatch):
    monkeypatch.setattr(smb_files, "PIECE", 1000)
    server, chance = _ReorderingServer(), random.Random(11)
    out, expected = smb_files.SmbWriter(server, "t", "x", "//server/share/x"), bytearray()
    for _round in range(200):
        offset, data = (
            chance.choice((len(expected), chance.randrange(5000))),
            chance.randbytes(chance.choice((10, 900, 2500))),
        )
        out.seek(offset)
        out.write(data)
        expected.extend(bytes(max(0, offset + len(data) - len(expected))))
        expected[offset : offset + len(data)] = data
    out.finish()
    assert server.name == "x"
    assert server.file == expected
