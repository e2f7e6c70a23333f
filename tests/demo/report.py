# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo has to tell, as tables: of what kind is up to whoever shows them."""

from __future__ import annotations

import dataclasses
import pathlib

from ...plugins.module_utils.catalog.layer_store import load_version
from ...plugins.module_utils.operations.info import layer_info
from ...plugins.module_utils.repository.repository import Repository
from .first_start import Script
from .playbook import Run

_KINDS = {"os": "OS", "app": "app"}
_STEPS = ("compose", "upload", "power on", "scripts", "snapshot")


@dataclasses.dataclass
class Table:
    """Rows of text under headings. ``numbers``: which columns are numbers; ``strong``: rows to stress."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    numbers: set[int] = dataclasses.field(default_factory=set)
    strong: set[int] = dataclasses.field(default_factory=set)
    note: str = ""


def size(count: float | None) -> str:
    """Bytes for people."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def seconds(value: float | None) -> str:
    """Seconds for people."""
    return "" if value is None else f"{value:.1f} s"


def tables(
    repository: pathlib.Path,
    runs: tuple[Run, Run, Run],
    prepared: list[tuple[str, float]],
    scripts: tuple[list[Script], list[Script]],
    places: list[tuple[str, str]],
) -> list[Table]:
    """All tables. ``prepared``: what was made before with its seconds; ``scripts``: of the first and the last image; ``places``: what is where."""
    return [
        _layers(repository, runs),
        _scripts(scripts),
        _timings(runs, prepared),
        _bytes(runs),
        Table("Where it is", ["", ""], [list(place) for place in places]),
    ]


def _layers(repository: pathlib.Path, runs: tuple[Run, Run, Run]) -> Table:
    captured = {
        (one["layer"]["name"], one["layer"]["version"])
        for run in runs
        for record in run.of("app_layer")
        if "detail" in (one := record["result"])
    }
    rows = []
    for layer in layer_info({"repository": str(repository), "kind": None, "name": None}).result["layers"]:
        for version in layer["versions"]:
            changes = version.get("changes") or {}
            if layer["kind"] == "os":
                what = f"{version['windows']['product_name'] or 'Windows'}, {version['size_gb']} GiB"
                source = "exported machine"
                data = load_version(Repository.open(str(repository)), version["digest"]).statistics["bytes"]
            else:
                data = changes["bytes"]
                source = "installer, captured" if (layer["name"], version["version"]) in captured else "folder"
                what = ", ".join(
                    f"{changes[count]} {count}" for count in ("files", "removed", "keys", "values") if changes[count]
                )
            rows.append(
                [
                    layer["name"],
                    version["version"],
                    _KINDS[layer["kind"]],
                    source,
                    what,
                    size(data),
                    size(version["size"]),
                ]
            )
    return Table("Layers", ["layer", "version", "kind", "made from", "content", "size", "stored"], rows, numbers={5, 6})


def _scripts(scripts: tuple[list[Script], list[Script]]) -> Table:
    rows = [
        [title, str(script.number), script.label, script.file, str(script.code)]
        for title, found in zip(("first", "new version"), scripts)
        for script in found
    ]
    return Table(
        "Scripts at the machines' first start", ["image", "", "script of", "file", "exit code"], rows, numbers={1, 4}
    )


def _timings(runs: tuple[Run, Run, Run], prepared: list[tuple[str, float]]) -> Table:
    rows = [[f"{title} (once)", seconds(taken), "", ""] for title, taken in prepared]
    for title, action in (
        ("Export the OVF package", "ovf_export"),
        ("OS layer", "os_layer"),
        ("App layers", "app_layer"),
        ("Connector", "connector"),
        ("Image template", "image_template"),
        ("Publish", "layered_image_publish"),
    ):
        rows.append([title, *(seconds(run.seconds_of(action)) for run in runs)])
    for step in _STEPS:
        rows.append([f"  {step}", *(seconds(run.task["timings"].get(step)) for run in runs)])
    rows.append(["site.yml", *(seconds(run.seconds) for run in runs)])
    return Table("Time", ["", "first", "unchanged", "new version"], rows, numbers={1, 2, 3}, strong={len(rows) - 1})


def _bytes(runs: tuple[Run, Run, Run]) -> Table:
    rows = []
    for title, key in (
        ("Disk of the image", "disk"),
        ("Uploaded", "uploaded"),
        ("Of that compressed anew", "compressed"),
    ):
        rows.append([title, *(size(run.task["bytes"].get(key)) or "-" for run in runs)])
    return Table("Bytes", ["", "first", "unchanged", "new version"], rows, numbers={1, 2, 3})
