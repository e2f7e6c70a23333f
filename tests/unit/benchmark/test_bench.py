# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark works: it measures, prints and keeps rows. How fast anything is, is not asked here."""

from __future__ import annotations

import json
import sys
import time

import pytest

from ansible_collections.strata.layering.tests.benchmark import measure, run
from ansible_collections.strata.layering.tests.benchmark.rows import Row, Target, table


def _python(code):
    return [sys.executable, "-c", code]


def test_time_and_memory_of_a_process_and_its_child():
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
    assert 0 < alone.cpu


def test_input_and_output():
    assert measure.run(_python("print(input() * 2)"), stdin="ab").output == "abab\n"


def test_a_process_that_fails():
    with pytest.raises(measure.ProcessFailed, match="no such thing"):
        measure.run(_python("raise SystemExit('no such thing')"))


def test_a_process_whose_time_is_over_ends_with_its_children():
    done = measure.run(["sh", "-c", "sleep 600 & echo $!; sleep 600"], timeout=1)
    assert not done.ended and 1 <= done.seconds < 60
    deadline = time.monotonic() + 30
    while _runs(int(done.output)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(done.output))
    assert measure.run(["true"], timeout=600).ended


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_table_says_what_was_met():
    rows = [
        Row("a", "fast", "1 s", "other 9 s", 9.0, Target(True, 8), 5 << 20),
        Row("a", "large", "1 MB", "other 0.5 MB", 2.0, Target(False, 1.5), note="because"),
        Row("b", "memory", "3 MiB", "", 3.0, Target(False, 400, " MiB")),
        Row("b", "for interest", "3 s", note="because"),
    ]
    lines = table(rows).splitlines()
    assert [row.verdict for row in rows] == ["met", "MISSED", "met", ""]
    assert len({line.index(word) for line, word in zip(lines[2:4], (">= 8x", "<= 1.5x"))}) == 1
    assert "5 MiB" in lines[2] and "9.00x" in lines[2]
    assert "large [1]" in lines[3] and "for interest [1]" in lines[5]
    assert lines[-1] == "[1] because"


def test_cases_run_on_small_data(tmp_path, capsys):
    assert (
        run.main(["--quick", "--only", "encode", "--only", "import", "--only", "compose", "--folder", str(tmp_path)])
        == 0
    )
    printed = capsys.readouterr().out
    document = json.loads((tmp_path / "result.json").read_text())
    assert {row["case"] for row in document["rows"]} == {"compose", "encode", "import"}
    assert "peak memory, large machine" in printed and "qemu-img" in printed
    assert not (tmp_path / "scratch").exists()


def test_capturing_on_small_data(tmp_path, capsys):
    assert run.main(["--quick", "--only", "capture", "--folder", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    # Sixty files came, five were replaced, twenty removed; one of the replaced has two names. wimlib tells of folders that changed, too.
    assert rows[0]["sizes"].startswith("66 files") and "20 removed" in rows[0]["sizes"]
    told = [int(row["sizes"].split()[-2]) for row in rows if "wimlib" in row["peer"]]
    assert len(told) == 2 and len(set(told)) == 1 and 85 <= told[0] <= 95
    assert "base 4." in capsys.readouterr().out


def test_a_case_that_breaks_is_told(tmp_path, capsys, monkeypatch):
    def broken(_bench):
        raise OSError("the disk is gone")

    monkeypatch.setitem(run.CASES, "encode", broken)
    assert run.main(["--quick", "--only", "encode", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "could not be measured: encode" in captured.out and "the disk is gone" in captured.err
