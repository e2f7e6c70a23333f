# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import progress
from ansible_collections.strata.layering.plugins.module_utils.common.progress import (
    Estimate,
    ProgressFile,
    progress_from_environment,
)

MIB = 1 << 20


def follow_speeds(
    estimate: Estimate, step: str, speeds: list[float], total: int | None, *, start: float = 100.0, every: float = 0.5
) -> dict:
    """Feed an estimate with these speeds in bytes per second, one for each interval; return the last document."""
    document, done = estimate.follow(step, 0, total, start), 0.0
    for number, speed in enumerate(speeds, 1):
        done += speed * every
        document = estimate.follow(step, int(done), total, start + number * every)
    return document


def test_estimate_steady_speed_predicts_the_end():
    document = follow_speeds(Estimate(), "office: upload", [100 * MIB] * 20, 2000 * MIB)
    assert (document["subject"], document["step"], document["unit"]) == ("office", "upload", "bytes")
    assert (document["percent"], document["seconds_left"]) == (50, 10)
    assert document["rate"] == pytest.approx(100 * MIB, rel=0.001)


def test_estimate_first_second_has_no_rate():
    document = follow_speeds(Estimate(), "upload", [100 * MIB] * 2, 2000 * MIB)
    assert (document["rate"], document["seconds_left"], document["percent"]) == (None, None, 5)


@pytest.mark.parametrize("every", [0.1, 0.5, 4.0])
def test_estimate_rate_follows_the_last_seconds_at_any_interval(every):
    fast, slow = [200 * MIB] * int(40 / every), [20 * MIB] * int(40 / every)
    document = follow_speeds(Estimate(), "upload", fast + slow, 20_000 * MIB, every=every)
    assert document["rate"] == pytest.approx(20 * MIB, rel=0.1)
    # A short pause changes the rate little.
    document = follow_speeds(Estimate(), "upload", fast + [0] * int(1 / every), 20_000 * MIB, every=every)
    assert 0.8 * 200 * MIB < document["rate"] <= 200 * MIB


def test_estimate_new_step_or_decreasing_amount_restarts():
    estimate = Estimate()
    follow_speeds(estimate, "encode", [100 * MIB] * 20, 2000 * MIB)
    for step, done in (("upload", 5 * MIB), ("upload", 1 * MIB)):
        assert estimate.follow(step, done, 100 * MIB, 111.0)["rate"] is None
    assert estimate.follow("upload", 11 * MIB, 101 * MIB, 113.0)["rate"] == 5 * MIB


def test_estimate_other_units_have_no_rate():
    assert follow_speeds(Estimate(), "office: shut down", [1.0] * 20, 3600) | {"done": 0} == {
        "subject": "office",
        "step": "shut down",
        "unit": "seconds",
        "done": 0,
        "total": 3600,
        "percent": None,
        "rate": None,
        "seconds_left": None,
    }
    document = follow_speeds(Estimate(), "Powering on x", [10.0] * 10, 100)
    assert (document["unit"], document["percent"], document["rate"], document["seconds_left"]) == (
        "percent",
        50,
        None,
        None,
    )
    document = follow_speeds(Estimate(), "store", [MIB] * 10, None)
    assert (document["percent"], document["seconds_left"], document["rate"]) == (None, None, MIB)


@pytest.mark.parametrize(("done", "total", "percent"), [(0, 0, None), (12, 10, 100)])
def test_estimate_unusual_total_has_a_valid_percentage(done, total, percent):
    assert Estimate().follow("upload", done, total, 1.0)["percent"] == percent


def read(path) -> list[dict]:
    return json.loads(path.read_text())


def test_progress_file_holds_the_newest_document_of_each_subject(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    file("a: upload", 1, 10)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert [document["subject"] for document in read(path)] == ["a"]
    for number in range(2, 9):
        now[0] += 0.01
        file("a: upload", number, 10)
    assert read(path)[0]["done"] == 1, "written more often than a few times a second"
    now[0] += 0.2
    file("b: encode", 5, 10)
    assert [(document["subject"], document["done"]) for document in read(path)] == [("a", 8), ("b", 5)]
    now[0] += 1
    file("a: power on", 0, 100)
    assert [(document["subject"], document["step"]) for document in read(path)] == [("a", "power on"), ("b", "encode")]
    file.close()
    assert list(tmp_path.iterdir()) == []
    file("a: upload", 9, 10)
    assert list(tmp_path.iterdir()) == []


def test_progress_file_is_complete_at_every_read(tmp_path, monkeypatch):
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
    reads = 0
    while any(thread.is_alive() for thread in threads):
        assert all(document["total"] == 1000 for document in read(path))
        reads += 1
    assert reads
    assert {document["subject"]: document["done"] for document in read(path)} == {
        "": 0,
        "a": 199,
        "b": 199,
        "c": 199,
        "d": 199,
    }


def test_progress_file_limits_the_number_of_subjects(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_FILE_INTERVAL", 0)
    file = ProgressFile(str(tmp_path / "progress"))
    for number in range(1000):
        file(f"{number}: upload", 1, 2)
    assert len(read(tmp_path / "progress")) == progress._MAXIMUM_SUBJECTS


def test_progress_file_does_not_follow_a_link(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    os.symlink(tmp_path / "theirs", tmp_path / "progress.part")
    file = ProgressFile(str(tmp_path / "progress"))
    file("upload", 1, 2)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "progress").exists()


def test_progress_file_missing_folder_is_ignored(tmp_path):
    missing = ProgressFile(str(tmp_path / "none" / "progress"))
    missing("upload", 1, 2)
    missing("upload", 2, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", "progress"])
def test_progress_from_environment_without_absolute_path_is_silent(monkeypatch, value):
    monkeypatch.setenv(progress.FILE_VARIABLE, value)
    with progress_from_environment() as callback:
        assert callback is progress.silent


def test_progress_from_environment_removes_the_file_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.FILE_VARIABLE, str(tmp_path / "progress"))
    with pytest.raises(SystemExit), progress_from_environment() as file:
        file("upload", 1, 2)
        assert read(tmp_path / "progress")
        raise SystemExit(0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("total", [100, 120])
def test_estimate_machines_are_counted(total):
    document = Estimate().follow("sales: machines, 2 sessions", 60, total, 1.0)
    assert {name: document[name] for name in ("subject", "step", "unit", "done", "total", "note")} == {
        "subject": "sales",
        "step": "machines",
        "unit": "machines",
        "done": 60,
        "total": total,
        "note": "2 sessions",
    }


def test_estimate_machines_without_note_has_no_note():
    assert "note" not in Estimate().follow("sales: machines", 60, 120, 1.0)
