# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of the demo as data, independent of how they are displayed."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from ...plugins.module_utils.catalog.layer_store import load_version
from ...plugins.module_utils.repository.repository import Repository
from ..support import modules
from .first_start import Script
from .horizon import POOL, PoolState
from .playbook import Run
from .second_site import SecondSite

_KINDS = {"os": "OS", "app": "app", "platform": "platform"}
_STEPS = ("compose", "upload", "power_on", "scripts", "snapshot")
_MODULES = (
    ("Export the OVF package", "ovf_export"),
    ("OS layer", "os_layer"),
    ("App layers", "app_layer"),
    ("Connector", "connector"),
    ("Image template", "image_template"),
    ("Publish", "layered_image_publish"),
    ("Push to Horizon", "horizon_image_push"),
)
#: Headings of the columns of the three runs.
_RUNS = ["first run", "unchanged", "new version"]
#: Registry outcomes in the order of the table; docs/registry-deltas.md explains them.
_OUTCOMES = ("merged", "summed", "overruled", "removed", "restored", "manual", "dropped")
#: Shorter steps, in seconds, are left out of the chart.
_SHORTEST = 0.05
#: Digits of a digest that are displayed.
_SHORT = 12


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text below headings. ``numbers``: numeric columns; ``strong``: emphasized rows."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar of a chart: its label, its length in the chart's unit, and the number as text."""

    label: str
    value: float
    text: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """Horizontal bars on a common scale."""

    title: str
    bars: list[Bar]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """The complete result: the sentences that matter most, labelled facts, charts and tables."""

    title: str
    summary: str
    headline: list[str]
    facts: list[tuple[str, str]]
    charts: list[Chart]
    tables: list[Table]


@dataclasses.dataclass(frozen=True)
class Results:
    """Input of a report.

    ``prepared``: preparations with their durations in seconds; ``scripts``: the scripts on the disks of the first and of
    the last image; ``pools``: the states of the Horizon pool in order; ``second_site``: the transfers; ``locations``: where objects are, as (object, location).
    """

    repository: pathlib.Path
    runs: tuple[Run, Run, Run]
    prepared: list[tuple[str, float]]
    scripts: tuple[list[Script], list[Script]]
    pools: list[PoolState]
    second_site: SecondSite
    locations: list[tuple[str, str]]


def size(count: float | None) -> str:
    """Return a number of bytes with a decimal unit; an empty text for None."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def seconds(value: float | None) -> str:
    """Return a duration in seconds with its unit; an empty text for None."""
    return "" if value is None else f"{value:.1f} s"


def build(title: str, summary: str, results: Results) -> Report:
    """Return the report of a finished demo; reads layers and conflicts from the repository."""
    template = results.runs[-1].task["template"]
    plan = modules.run("layered_image_plan", repository=str(results.repository), template=template)
    return Report(
        title,
        summary,
        _headline(results.runs, results.pools),
        _facts(results),
        [_byte_chart(results.runs), _step_chart(results.runs)],
        [
            _bytes(results.runs),
            _durations(results.runs),
            pool_table(results.pools),
            _transfers(results.second_site),
            _layers(results.repository, results.runs),
            *([_registry(plan["registry"])] if plan["registry"] else []),
            _scripts(results.scripts),
            Table("Locations", ["", ""], [list(location) for location in results.locations]),
            _preparations(results.prepared),
        ],
    )


def _headline(runs: tuple[Run, Run, Run], pools: list[PoolState]) -> list[str]:
    """Return the result of the third and of the second run, and of the pushes, each in a sentence."""
    _first, unchanged, last = runs
    stored, disk = last.task["bytes"]["compressed"], last.task["bytes"]["disk"]
    return [
        f"One application changed: the image was published again in {last.seconds_of('layered_image_publish'):.0f} s; "
        f"{size(stored)} of its {size(disk)} disk were compressed and stored.",
        f"Nothing changed: site.yml changed nothing, in {unchanged.seconds:.0f} s.",
        f"One machine of the Horizon pool {POOL} tried the new image, all {sum(pools[-1].machines.values())} got it, and all returned to the "
        "first image. No user was logged off.",
    ]


def _facts(results: Results) -> list[tuple[str, str]]:
    first, _unchanged, last = (run.task for run in results.runs)
    algorithm, _colon, digest = last["digest"].partition(":")
    return [
        ("Image template", last["template"]),
        ("VM", last["vm"]["name"]),
        ("Snapshot", last["snapshot"]),
        ("Image digest", f"{algorithm}:{digest[:_SHORT]}"),
        ("Compressed and stored for the first image", size(first["bytes"]["compressed"])),
        ("Compressed and stored for the new version", size(last["bytes"]["compressed"])),
    ]


def _byte_chart(runs: tuple[Run, Run, Run]) -> Chart:
    first, _unchanged, last = (run.task["bytes"] for run in runs)
    rows = (
        ("Uploaded, new version", last["uploaded"]),
        ("Stored, first image", first["compressed"]),
        ("Stored, new version", last["compressed"]),
    )
    return Chart(
        "Bytes uploaded, and bytes compressed and stored",
        [Bar(label, count, size(count)) for label, count in rows],
        "vSphere receives the complete disk. Its unchanged blocks are copied in compressed form from the repository.",
    )


def _step_chart(runs: tuple[Run, Run, Run]) -> Chart:
    first, _unchanged, last = (run.task["timings"] for run in runs)
    bars = [
        Bar(f"{step}, {title}", timings[step], seconds(timings[step]))
        for step in _STEPS
        for title, timings in (("first", first), ("new version", last))
        if timings.get(step, 0) >= _SHORTEST
    ]
    return Chart(
        "Duration of the publish steps", bars, "vSphere is simulated on this computer; shorter steps are left out."
    )


def _layers(repository: pathlib.Path, runs: Sequence[Run]) -> Table:
    applied = [record["result"] for run in runs for record in run.of("app_layer")]
    captured = {
        (result["layer"]["name"], result["layer"]["version"]) for result in applied if result.get("detail") is not None
    }
    rows = []
    for layer in modules.run("layer_info", repository=str(repository))["layers"]:
        for version in layer["versions"]:
            changes = version.get("changes") or {}
            if layer["kind"] == "os":
                content = f"{version['windows']['product_name'] or 'Windows'}, {version['size_gb']} GiB"
                source = "exported VM"
                count = load_version(Repository.open(str(repository)), version["digest"]).statistics["bytes"]
            else:
                content = ", ".join(
                    f"{changes[name]} {name}" for name in ("files", "removed", "keys", "values") if changes[name]
                )
                source = "captured installer" if (layer["name"], version["version"]) in captured else "folder"
                count = changes["bytes"]
            rows.append(
                [
                    layer["name"],
                    version["version"],
                    _KINDS[layer["kind"]],
                    source,
                    content,
                    size(count),
                    size(version["size"]),
                ]
            )
    headings = ["layer", "version", "kind", "source", "content", "size", "stored"]
    return Table("Layers", headings, rows, numbers=frozenset({5, 6}))


def pool_table(pools: list[PoolState]) -> Table:
    """Return the image of the pool and the number of machines on each image, for each moment of the demo."""
    rows = [
        [
            pool.moment,
            pool.image,
            ", ".join(f"{count} on {image}" for image, count in pool.machines.items()),
            seconds(pool.seconds),
        ]
        for pool in pools
    ]
    headings = ["", "image", "machines", "duration"]
    return Table(f"The Horizon pool {POOL}", headings, rows, numbers=frozenset({3}))


def _transfers(site: SecondSite) -> Table:
    names = ("push from the first site", "pull to the second site", "second pull")
    rows = [
        [name, size(moved), seconds(time)] for name, moved, time in zip(names, site.moved, site.seconds, strict=True)
    ]
    digest = site.image.partition(":")[2][:_SHORT]
    return Table(
        f"Second site: composed an image with the same content digest, {digest}",
        ["transfer", "moved", "duration"],
        rows,
        frozenset({1, 2}),
    )


def _registry(findings: list[dict]) -> Table:
    """Return up to three findings of the registry merge for each outcome."""
    rows = []
    for outcome in _OUTCOMES:
        matching = [finding for finding in findings if finding["outcome"] == outcome]
        for finding in matching[:3]:
            path = "\\".join(part for part in (finding["hive"], finding["key"], finding.get("value")) if part)
            rows.append([outcome, path, ", ".join(finding["layers"]), ", ".join(finding.get("overruled") or ())])
        if len(matching) > 3:
            rows.append([outcome, f"{len(matching) - 3} more", "", ""])
    return Table("Registry merges", ["outcome", "key and value", "layers", "overruled"], rows)


def _scripts(scripts: tuple[list[Script], list[Script]]) -> Table:
    rows = [
        [title, str(script.number), script.label, script.file, str(script.code)]
        for title, image in zip(("first", "new version"), scripts)
        for script in image
    ]
    headings = ["image", "", "script of", "file", "exit code"]
    return Table("Scripts at the first start of the VMs", headings, rows, numbers=frozenset({1, 4}))


def _preparations(prepared: list[tuple[str, float]]) -> Table:
    rows = [[title, seconds(duration)] for title, duration in prepared]
    return Table("Preparations of the demo (some run at the same time)", ["", ""], rows, numbers=frozenset({1}))


def _durations(runs: tuple[Run, Run, Run]) -> Table:
    rows = []
    for title, action in _MODULES:
        rows.append([title, *(seconds(run.seconds_of(action)) for run in runs)])
    for step in _STEPS:
        rows.append([f"  {step}", *(seconds(run.task["timings"].get(step)) for run in runs)])
    rows.append(["site.yml", *(seconds(run.seconds) for run in runs)])
    return Table("Durations", ["", *_RUNS], rows, numbers=frozenset({1, 2, 3}), strong=frozenset({len(rows) - 1}))


def _bytes(runs: tuple[Run, Run, Run]) -> Table:
    rows = [
        [title, *(size(run.task["bytes"].get(key)) or "-" for run in runs)]
        for title, key in (
            ("Disk of the image", "disk"),
            ("Compressed and stored", "compressed"),
            ("Uploaded (vSphere needs the complete disk)", "uploaded"),
        )
    ]
    return Table("Bytes", ["", *_RUNS], rows, numbers=frozenset({1, 2, 3}))
