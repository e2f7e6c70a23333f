# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks exclude, share, tell who holds them, and die with their holder."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict


def holding_child(repository, name, **options):
    """A process that holds a lock until it is killed."""
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        with repository.locks.hold(name, **options):
            os.write(told, b"x")
            signal.pause()
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    return child


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_exclusive_lock_names_its_holder_and_dies_with_it(repository):
    child = holding_child(repository, "layer App", purpose="import")
    try:
        for shared in (False, True):
            with pytest.raises(Conflict) as caught, repository.locks.hold("layer App", timeout=0.1, shared=shared):
                pass
            assert (
                f"process {child} on " in caught.value.message
                and "(import)" in caught.value.message
                and caught.value.code == "repository.lock_held"
            )
        with repository.locks.hold("layer app", timeout=0):  # another name
            pass
    finally:
        end(child)
    with repository.locks.hold("layer App", timeout=5):
        pass


def test_shared_locks_share(repository):
    child = holding_child(repository, "x", shared=True)
    try:
        with repository.locks.hold("x", shared=True, timeout=0):
            pass
        with pytest.raises(Conflict), repository.locks.hold("x", timeout=0.1):
            pass
    finally:
        end(child)


def test_a_forked_child_does_not_keep_a_released_lock(repository):
    with repository.locks.hold("x"):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with repository.locks.hold("x", timeout=0):
            pass
    finally:
        end(child)


def test_damaged_note_is_no_obstacle(repository):
    child = holding_child(repository, "x")
    try:
        with open(os.path.join(repository.path, "locks", "x.lock"), "wb") as stream:
            stream.write(b"\xff\x00nonsense")
        with pytest.raises(Conflict, match="another process"), repository.locks.hold("x", timeout=0):
            pass
    finally:
        end(child)
