# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks exclude, share, name their holder, and end with their holder."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.tests.support.expectations import raises


def holding_child(repository, name, **options):
    """A process that holds a lock until it is killed."""
    ready, report = os.pipe()
    child = os.fork()
    if not child:
        with repository.locks.hold(name, **options):
            os.write(report, b"x")
            signal.pause()
    os.close(report)
    os.read(ready, 1)
    os.close(ready)
    return child


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_exclusive_lock_names_its_holder_and_ends_with_it(repository):
    child = holding_child(repository, "layer App", purpose="import")
    try:
        for shared in (False, True):
            with pytest.raises(Conflict) as caught, repository.locks.hold("layer App", timeout=0.1, shared=shared):
                pass
            assert caught.value.code == "repository.lock_held"
            assert f"process {child} on " in caught.value.message
            assert "(import)" in caught.value.message
        with repository.locks.hold("layer app", timeout=0):  # another name
            pass
    finally:
        end(child)
    with repository.locks.hold("layer App", timeout=5):
        pass


def test_held_since_reports_only_a_living_exclusive_holder(repository):
    assert repository.locks.held_since("x") is None
    with repository.locks.hold("x", shared=True):
        assert repository.locks.held_since("x") is None
    child = holding_child(repository, "x")
    try:
        assert repository.locks.held_since("x")
    finally:
        end(child)
    assert repository.locks.held_since("x") is None


def test_held_lock_error_begins_with_the_subject(repository):
    child = holding_child(repository, "x", purpose="publish x")
    try:
        with pytest.raises(Conflict) as caught, repository.locks.hold("x", timeout=0, subject="The template x is busy"):
            pass
        assert caught.value.code == "repository.lock_held"
        assert caught.value.message.startswith("The template x is busy, by process ")
    finally:
        end(child)


def test_shared_lock_excludes_only_exclusive_locks(repository):
    child = holding_child(repository, "x", shared=True)
    try:
        with repository.locks.hold("x", shared=True, timeout=0):
            pass
        with pytest.raises(Conflict), repository.locks.hold("x", timeout=0.1):
            pass
    finally:
        end(child)


def test_forked_child_does_not_keep_a_released_lock(repository):
    with repository.locks.hold("x"):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with repository.locks.hold("x", timeout=0):
            pass
    finally:
        end(child)


def test_lock_with_a_damaged_note_names_another_process(repository):
    child = holding_child(repository, "x")
    try:
        with open(os.path.join(repository.path, "locks", "x.lock"), "wb") as stream:
            stream.write(b"\xff\x00nonsense")
        with raises(Conflict, "repository.lock_held") as caught, repository.locks.hold("x", timeout=0):
            pass
        assert "another process" in caught.value.message
    finally:
        end(child)
