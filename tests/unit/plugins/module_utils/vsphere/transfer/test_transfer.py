# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks on their way to a host."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unsupported
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.plugins.module_utils.vsphere.transfer.transfer import (
    _BEHIND,
    HostConnection,
    _Digests,
    _whole,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.trust import Trust

_MIB = 1 << 20
_SIZES = (5, 4096, _MIB, 3, _MIB - 1, 70_000, 2 * _MIB, 1, *[_MIB - 512] * 12)


def _reused() -> Iterator[memoryview]:
    buffer = bytearray(2 * _MIB)
    for number, size in enumerate(_SIZES):
        buffer[:size] = bytes([number]) * size
        yield memoryview(buffer)[:size]


def _expected() -> bytes:
    return b"".join(bytes([number]) * size for number, size in enumerate(_SIZES))


def test_whole_accepts_blocks_in_reused_memory() -> None:
    assert b"".join(bytes(block) for block in _whole(_reused())) == _expected()


def test_whole_yields_full_blocks_except_the_last() -> None:
    *sizes, last = [len(block) for block in _whole(_reused())]
    assert set(sizes) == {_MIB}
    assert 0 < last < _MIB
    assert list(_whole([])) == []
    assert [len(block) for block in _whole([bytes(2 * _MIB)])] == [_MIB, _MIB]


def test_whole_block_is_unchanged_while_later_blocks_are_requested() -> None:
    blocks = _whole(_reused())
    for number in itertools.count():
        first = next(blocks, None)
        if first is None:
            break
        before = bytes(first)
        seen = [first, *itertools.islice(blocks, _BEHIND)]
        assert bytes(first) == before == _expected()[number * (_BEHIND + 1) * _MIB :][: len(first)]
        assert len({id(block.obj) for block in seen}) == len(seen)


def test_digests_of_queued_blocks_are_correct() -> None:
    held = threading.Event()
    with _Digests("sha1", "sha256") as digests:
        for worker in digests._workers.values():
            worker.submit(held.wait, 0.3)
        threading.Timer(0.2, held.set).start()
        for block in _whole(_reused()):
            digests.update(block)
        found = digests.result(len(_expected()))
    assert (found.sha1, found.sha256) == (
        hashlib.sha1(_expected()).hexdigest(),
        hashlib.sha256(_expected()).hexdigest(),
    )
    assert found.size == len(_expected())


def test_digests_aborted_end_their_threads() -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), _Digests("sha1", "sha256") as digests:
        digests.update(bytes(_MIB))
        raise KeyboardInterrupt
    assert threading.active_count() == before


def test_connection_error_hides_the_address_of_the_lease() -> None:
    """Everyone who knows the address can download the disk."""
    session = Session("vcenter.example.com", 443, Trust(), None, None)
    with pytest.raises(Unsupported) as caught:
        HostConnection(session, "http://esx1.example.com/nfc/52d3ticket/disk-0.vmdk")
    assert "http://esx1.example.com" in caught.value.message
    assert "52d3ticket" not in caught.value.message


def test_refused_transfer_hides_the_address_of_the_lease() -> None:
    connection = HostConnection.__new__(HostConnection)
    connection.label = "the host esx1"
    error = connection._refused(404, b"<p>/nfc/52d3ticket/disk-0.vmdk was not found, nor session[52aa]52bb</p>")
    assert (
        error.message
        == "The host esx1 refused the transfer with HTTP status 404: <p>/nfc/... was not found, nor session[...]</p>."
    )
