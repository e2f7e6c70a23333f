# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import progress
from ansible_collections.strata.layering.plugins.module_utils.common.progress import Estimate, ProgressFile, watched

MIB = 1 << 20


def fed(
    estimate: Estimate, step: str, speeds: list[float], total: int | None, *, start: float = 100.0, every: float = 0.5
) -> dict:
    """Feed an estimate with these speeds, one for each interval; the last document."""
    document, done = estimate.follow(step, 0, total, start), 0.0
    for number, speed in enumerate(speeds, 1):
        done += speed * every
        document = estimate.follow(step, int(done), total, start + number * every)
    return document


def test_a_steady_copy():
    document = fed(Estimate(), "office: upload", [100 * MIB] * 20, 2000 * MIB)
    assert document["subject"] == "office" and document["step"] == "upload" and document["unit"] == "bytes"
    assert (
        document["percent"] == 50
        and document["seconds_left"] == 10
        and document["rate"] == pytest.approx(100 * MIB, rel=0.001)
    )


def test_nothing_is_promised_at_once():
    document = fed(Estimate(), "upload", [100 * MIB] * 2, 2000 * MIB)
    assert document["rate"] is None and document["seconds_left"] is None and document["percent"] == 5


@pytest.mark.parametrize("every", [0.1, 0.5, 4.0])
def test_the_rate_follows_what_is_so_now_however_often_it_is_fed(every):
    fast, slow = [200 * MIB] * int(40 / every), [20 * MIB] * int(40 / every)
    document = fed(Estimate(), "upload", fast + slow, 20_000 * MIB, every=every)
    assert document["rate"] == pytest.approx(20 * MIB, rel=0.1)
    # A short pause does not throw it about.
    document = fed(Estimate(), "upload", fast + [0] * int(1 / every), 20_000 * MIB, every=every)
    assert 0.8 * 200 * MIB < document["rate"] <= 200 * MIB


def test_another_step_and_one_that_goes_back_begin_anew():
    estimate = Estimate()
    fed(estimate, "encode", [100 * MIB] * 20, 2000 * MIB)
    for step, done in (("upload", 5 * MIB), ("upload", 1 * MIB)):
        assert estimate.follow(step, done, 100 * MIB, 111.0)["rate"] is None
    assert estimate.follow("upload", 11 * MIB, 101 * MIB, 113.0)["rate"] == 5 * MIB


def test_what_is_not_bytes():
    assert fed(Estimate(), "office: shut down", [1.0] * 20, 3600) | {"done": 0} == {
        "subject": "office",
        "step": "shut down",
        "unit": "seconds",
        "done": 0,
        "total": 3600,
        "percent": None,
        "rate": None,
        "seconds_left": None,
    }
    document = fed(Estimate(), "Powering on x", [10.0] * 10, 100)
    assert (document["unit"], document["percent"], document["rate"], document["seconds_left"]) == (
        "percent",
        50,
        None,
        None,
    )
    document = fed(Estimate(), "store", [MIB] * 10, None)
    assert (document["percent"], document["seconds_left"], document["rate"]) == (None, None, MIB)
    assert (
        Estimate().follow("upload", 0, 0, 1.0)["percent"] is None
        and Estimate().follow("upload", 12, 10, 1.0)["percent"] == 100
    )


def read(path) -> list[dict]:
    return json.loads(path.read_text())


def test_the_file_has_the_newest_of_each_subject(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    file("a: upload", 1, 10)
    assert oct(path.stat().st_mode & 0o777) == "0o600" and [one["subject"] for one in read(path)] == ["a"]
    for number in range(2, 9):
        now[0] += 0.01
        file("a: upload", number, 10)
    assert read(path)[0]["done"] == 1, "written more often than a few times a second"
    now[0] += 0.2
    file("b: encode", 5, 10)
    assert [(one["subject"], one["done"]) for one in read(path)] == [("a", 8), ("b", 5)]
    now[0] += 1
    file("a: power on", 0, 100)
    assert [(one["subject"], one["step"]) for one in read(path)] == [("a", "power on"), ("b", "encode")]
    file.close()
    assert list(tmp_path.iterdir()) == []
    file("a: upload", 9, 10)
    assert list(tmp_path.iterdir()) == []


def test_it_is_whole_whenever_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_FILE_INTERVAL", 0)
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    file("start", 0, 1000)
    threads = [
        threading.Thread(
            target=lambda subject=subject: [file(f"{subject}: upload", number, 1000) for number in range(200)]
        )
        for subject in "abcd"
    ]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        assert all(one["total"] == 1000 for one in read(path))
        seen += 1
    assert seen and {one["subject"]: one["done"] for one in read(path)} == {
        "": 0,
        "a": 199,
        "b": 199,
        "c": 199,
        "d": 199,
    }


def test_subjects_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_FILE_INTERVAL", 0)
    file = ProgressFile(str(tmp_path / "progress"))
    for number in range(1000):
        file(f"{number}: upload", 1, 2)
    assert len(read(tmp_path / "progress")) == progress._MOST_SUBJECTS


def test_what_somebody_put_there_is_not_followed(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    os.symlink(tmp_path / "theirs", tmp_path / "progress.part")
    file = ProgressFile(str(tmp_path / "progress"))
    file("upload", 1, 2)
    assert (tmp_path / "theirs").read_text() == "theirs" and not (tmp_path / "progress").exists()
    missing = ProgressFile(str(tmp_path / "none" / "progress"))
    missing("upload", 1, 2)
    missing("upload", 2, 2)


def test_a_module_is_watched_only_when_it_is_asked_for(tmp_path, monkeypatch):
    for value in ("", "progress"):
        monkeypatch.setenv(progress.FILE_VARIABLE, value)
        with watched() as silent:
            assert silent is progress.silent
    monkeypatch.setenv(progress.FILE_VARIABLE, str(tmp_path / "progress"))
    with pytest.raises(SystemExit), watched() as file:
        file("upload", 1, 2)
        assert read(tmp_path / "progress")
        raise SystemExit(0)
    assert list(tmp_path.iterdir()) == []
