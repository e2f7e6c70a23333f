# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark measures, prints and stores rows; these tests do not check speed."""

from __future__ import annotations

import json
import sys
import time

import pytest

from ansible_collections.strata.layering.tests.benchmark import measure, run
from ansible_collections.strata.layering.tests.benchmark.rows import Row, Target, table


def _python(code):
    return [sys.executable, "-c", code]


def test_run_process_with_child_measures_time_and_memory():
    child = "import os, time; data = bytearray(b'x') * (60 << 20); time.sleep(0.5)"
    alone = measure.run(_python(child))
    both = measure.run(
        _python(
            f"import subprocess, sys; data = bytearray(b'x') * (60 << 20); subprocess.run([sys.executable, '-c', {child!r}])"
        )
    )
    assert 60 << 20 < alone.memory < 100 << 20
    assert 120 << 20 < both.memory < 180 << 20
    assert alone.seconds >= 0.5
    assert alone.cpu > 0


def test_run_process_returns_output():
    assert measure.run(_python("print(input() * 2)"), stdin="ab").output == "abab\n"


def test_run_process_fails_reports_its_errors():
    with pytest.raises(measure.ProcessFailed) as caught:
        measure.run(_python("raise SystemExit('disk full')"))
    assert "disk full" in str(caught.value)


def test_run_process_at_time_limit_ends_with_its_children():
    done = measure.run(["sh", "-c", "sleep 600 & echo $!; sleep 600"], timeout=1)
    assert not done.ended
    assert 1 <= done.seconds < 60
    deadline = time.monotonic() + 30
    while _runs(int(done.output)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(done.output))


def test_run_process_within_time_limit_is_not_killed():
    assert measure.run(["true"], timeout=600).ended


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_table_has_verdicts_targets_and_notes():
    rows = [
        Row("a", "fast", "1 s", "other 9 s", 9.0, Target(True, 8), 5 << 20),
        Row("a", "large", "1 MB", "other 0.5 MB", 2.0, Target(False, 1.5), note="because"),
        Row("b", "memory", "3 MiB", "", 3.0, Target(False, 400, " MiB")),
        Row("b", "for interest", "3 s", note="because"),
    ]
    lines = table(rows).splitlines()
    assert [row.verdict for row in rows] == ["met", "MISSED", "met", ""]
    assert len({line.index(target) for line, target in zip(lines[2:4], (">= 8x", "<= 1.5x"))}) == 1
    assert "5 MiB" in lines[2]
    assert "9.00x" in lines[2]
    assert "large [1]" in lines[3]
    assert "for interest [1]" in lines[5]
    assert lines[-1] == "[1] because"


def test_cases_run_on_small_data(tmp_path, capsys):
    code = run.main(["--quick", "--only", "encode", "--only", "import", "--only", "compose", "--folder", str(tmp_path)])
    assert code == 0
    printed = capsys.readouterr().out
    document = json.loads((tmp_path / "result.json").read_text())
    assert {row["case"] for row in document["rows"]} == {"compose", "encode", "import"}
    assert "peak memory, large OS machine" in printed
    assert "qemu-img" in printed
    assert not (tmp_path / "scratch").exists()


def test_capture_case_runs_on_small_data(tmp_path, capsys):
    assert run.main(["--quick", "--only", "capture", "--folder", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    # 60 new files, 5 replaced, 20 removed. wimlib also reports changed folders.
    assert rows[0]["sizes"].startswith("65 files")
    assert "20 removed" in rows[0]["sizes"]
    counts = [int(row["sizes"].split()[-2]) for row in rows if "wimlib" in row["peer"]]
    assert len(counts) == 2
    assert len(set(counts)) == 1
    assert 85 <= counts[0] <= 95
    assert "base 4." in capsys.readouterr().out


def test_case_that_fails_is_reported(tmp_path, capsys, monkeypatch):
    def broken(_bench):
        raise OSError("the disk is gone")

    monkeypatch.setitem(run.CASES, "encode", broken)
    assert run.main(["--quick", "--only", "encode", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "could not be measured: encode" in captured.out
    assert "the disk is gone" in captured.err
