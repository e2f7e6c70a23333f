# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a self-test, as a JSON object and as text. Names of the site are placeholders in both."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from ..common.counting import counted
from ..common.errors import StrataError
from ..common.findings import FAIL, WARN
from .facts import composer_facts
from .redaction import Redactor
from .run_state import RunState, Step

_FORMAT = 1
#: The result of a step that was not reached.
NOT_RUN = "not run"
_STEP_COLUMNS = ("step", "result", "seconds", "size", "rate", "found")
_CHECK_COLUMNS = ("check", "result", "found", "action")


def build_report(
    run: RunState,
    failure: tuple[StrataError | None, str],
    *,
    missing: list[str],
    started: datetime.datetime,
    seconds: float,
    ansible_version: str,
) -> dict[str, Any]:
    """Return the report of a run; ``failure`` is the error and the name of its step, ``missing`` has the steps that were not run."""
    redactor = run.request.redactor
    error, failed_step = failure
    return {
        "format": _FORMAT,
        "usable": error is None,
        "headline": _headline(run, error, failed_step),
        "check_mode": run.check_mode,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 1),
        "size_mib": run.request.size >> 20,
        "composer": composer_facts(ansible_version),
        "site": run.facts,
        "steps": [_step(row, redactor) for row in run.steps.rows]
        + [_step(Step(name, NOT_RUN), redactor) for name in missing],
        "checks": [_check(check, redactor) for check in run.checks],
        "warnings": [redactor.text(sentence) for sentence in run.warnings],
        "removed": len(run.leftovers),
        "left_behind": [redactor.text(path) for path in run.left_behind],
        "error": _error(error, failed_step, redactor),
    }


def _headline(run: RunState, error: StrataError | None, failed_step: str) -> str:
    """Return whether the site can be used, in one sentence without names."""
    left = f" {counted(len(run.left_behind), 'test VM')} remained." if run.left_behind else ""
    if error is not None and error.code == "preflight.failed":
        failed = [check["name"] for check in run.checks if check["result"] == FAIL]
        return f"The site cannot be used: {counted(len(failed), 'check')} of the preflight failed ({', '.join(failed)}).{left}"
    if error is not None:
        return f"The site cannot be used: the step {failed_step} failed ({error.code}).{left}"
    warned = sum(check["result"] == WARN for check in run.checks) + len(run.warnings)
    verb = "may be usable: the preflight passed" if run.check_mode else "can be used"
    warnings = f", with {counted(warned, 'warning')}" if warned else ""
    return f"The site {verb}{warnings}.{left}"


def _step(row: Step, redactor: Redactor) -> dict[str, Any]:
    rate = round(row.size / row.seconds) if row.size and row.seconds > 0 else None
    return {
        "name": row.name,
        "result": row.result,
        "seconds": round(row.seconds, 2),
        "bytes": row.size,
        "bytes_per_second": rate,
        "found": redactor.text(row.found),
    }


def _check(check: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    return {
        "name": check["name"],
        "result": check["result"],
        "found": redactor.text(check["found"]),
        "action": redactor.text(check["action"]),
    }


def _error(error: StrataError | None, step: str, redactor: Redactor) -> dict[str, Any] | None:
    if error is None:
        return None
    # The checks are a part of the report already.
    details = {key: value for key, value in error.details.items() if key != "checks"}
    return {
        "step": step,
        "code": error.code,
        "kind": type(error).__name__,
        "message": redactor.text(error.message),
        "hint": redactor.text(error.hint or ""),
        "details": redactor.value(details),
    }


def report_text(report: dict[str, Any]) -> str:
    """Return a report as Markdown."""
    lines = ["# Self-test of strata.layering", "", report["headline"], ""]
    lines += [
        f"Started {report['started']}, {report['seconds']} s, {report['size_mib']} MiB of data."
        f"{' Check mode: nothing was created.' if report['check_mode'] else ''}",
        "Names, addresses and users are replaced by placeholders such as host-1. The same name has the same placeholder.",
        "",
    ]
    if report["error"]:
        lines += _error_lines(report["error"])
    if report["removed"]:
        lines += [f"Test VMs of earlier runs: {report['removed']}.", ""]
    if report["left_behind"]:
        lines += ["## Not removed", "", *(f"* {_line(path)}" for path in report["left_behind"]), ""]
    lines += ["## Steps", "", *_table(_STEP_COLUMNS, [_step_cells(step) for step in report["steps"]])]
    if report["checks"]:
        rows = [[check["name"], check["result"], check["found"], check["action"]] for check in report["checks"]]
        lines += ["## Checks", "", *_table(_CHECK_COLUMNS, rows)]
    if report["warnings"]:
        lines += ["## Warnings", "", *(f"* {_line(sentence)}" for sentence in report["warnings"]), ""]
    lines += ["## Composer", "", *_facts(report["composer"])]
    for name, facts in report["site"].items():
        lines += [f"## Site: {name}", "", *_facts(facts)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _error_lines(error: dict[str, Any]) -> list[str]:
    lines = ["## Error", "", f"* step: {error['step']}", f"* code: {error['code']} ({error['kind']})"]
    lines += [f"* message: {_line(error['message'])}", f"* hint: {_line(error['hint'])}"]
    return [*lines, *(f"* {_line(key)}: {_line(value)}" for key, value in error["details"].items()), ""]


def _step_cells(step: dict[str, Any]) -> list[str]:
    size, rate = step["bytes"], step["bytes_per_second"]
    return [
        step["name"],
        step["result"],
        f"{step['seconds']:.2f}" if step["result"] != NOT_RUN else "",
        f"{size / 1e6:.1f} MB" if size is not None else "",
        f"{rate / 1e6:.1f} MB/s" if rate is not None else "",
        step["found"],
    ]


def _facts(facts: Any) -> list[str]:
    """Return facts as a table if they are a list of objects, otherwise as a list of lines."""
    if isinstance(facts, list):
        return _table(tuple(facts[0]), [list(row.values()) for row in facts]) if facts else ["none", ""]
    return [*(f"* {_line(key)}: {_line(value)}" for key, value in facts.items()), ""]


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [*(f"| {' | '.join(_line(cell) for cell in line)} |" for line in lines), ""]


def _line(value: Any) -> str:
    """Return a value as text for one line, in which Markdown finds no markup."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = " ".join(str(value).split())
    return "".join(f"\\{character}" if character in "\\|`*<>[]" else character for character in text)
