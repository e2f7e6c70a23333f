# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push and pull of an OS layer over TLS, compared with skopeo and oras, and the bytes that a second template moves."""

from __future__ import annotations

import pathlib

from ..support.registries import DistributionRegistry, Login, SimulatedRegistry, tool
from ..support.registry_clients import Oras, Skopeo
from ..support.registry_tools import build
from .bench import Bench
from .composing import TEMPLATE, stocked
from .jobs import OS_LAYER, OS_VERSION
from .measure import Run, run, settle
from .rows import MIB, Row, Target, megabytes, middle, peak, seconds, work

_LAYER = {"kind": "os", "name": OS_LAYER, "version": OS_VERSION}
_SECOND = "second"
#: Peak memory of a transfer in MiB, and the bytes that the second template moves in relation to its new layer.
_LIMIT_MIB, _OVERHEAD = 100, 1.05
#: Each run moves the whole layer; more runs change little.
_MOST_RUNS = 3
_NOTE = (
    "Whole processes, to and from Debian's docker-registry (distribution 2.8) with TLS and a login, on the same processors and the same disk. Ours is the "
    "module layer_transfer, which also records the layer in the catalogue; the peers copy from and to an OCI image layout. Pulls end when the data are on "
    "the disk: ours syncs every blob, the peers' file system is synced after them."
)
_SHARED = "Bytes of the bodies that the registry received or sent. The registry, or the repository, has the OS layer of the template already."


def distributing(bench: Bench) -> list[Row]:
    """Measure push and pull of the large OS layer, and the bytes that a second template moves."""
    if not bench.quick:
        build("oras")
    path, _layer = stocked(bench, "base" if bench.quick else "large")
    with bench.file("distribution") as folder:
        transfers = _Transfers(bench, path, pathlib.Path(folder))
        with DistributionRegistry(pathlib.Path(folder) / "registry", tls=True, with_login=True) as registry:
            pushed = transfers.push(registry)
            pulled = transfers.pull(registry)
        rows = _compared("push", pushed, transfers.size) + _compared("pull", pulled, transfers.size)
        return rows + _second_template(bench, path, pathlib.Path(folder))


class _Transfers:
    """Transfers of the OS layer of a repository by ours and by the peers, in turn."""

    def __init__(self, bench: Bench, repository: str, folder: pathlib.Path) -> None:
        self._bench, self._repository, self._folder = bench, repository, folder
        found = bench.job("layer_artifact", repository=repository)[1]
        self._digest, self._reference, self.size = found["digest"], found["reference"], found["size"]
        self._rounds = min(_MOST_RUNS, bench.times)

    def push(self, registry: DistributionRegistry) -> dict[str, list[Run]]:
        """Push to the empty registry; it has the layer at the end."""
        clients = self._clients(registry.login)
        runs: dict[str, list[Run]] = {name: [] for name in [*clients, "ours"]}
        for _round in range(self._rounds):
            for name, done in runs.items():
                registry.clear()
                settle()
                if name == "ours":
                    done.append(_transfer(self._bench, self._repository, "pushed", registry.login, layers=[_LAYER])[0])
                else:
                    client = self._clients(registry.login)[name]
                    source = f"@{self._digest}" if name == "oras" else f":{self._reference}"
                    done.append(_copy(client, f"oci:{self._repository}{source}", self._name(registry, name)))
        return runs

    def pull(self, registry: DistributionRegistry) -> dict[str, list[Run]]:
        """Pull what ``push`` has pushed."""
        runs: dict[str, list[Run]] = {name: [] for name in [*self._clients(registry.login), "ours"]}
        for _round in range(self._rounds):
            for name, done in runs.items():
                with self._bench.file("pulled") as target:
                    if name == "ours":
                        self._bench.job("prepare", repository=target)
                        settle()
                        done.append(_transfer(self._bench, target, "pulled", registry.login, layers=[_LAYER])[0])
                    else:
                        settle()
                        client = self._clients(registry.login)[name]
                        done.append(_copy(client, self._name(registry, name), f"oci:{target}:1.0", synced=target))
        return runs

    def _clients(self, login: Login) -> dict[str, Skopeo | Oras]:
        found: dict[str, Skopeo | Oras] = {"skopeo": Skopeo(self._folder, login)}
        return found | ({"oras": Oras(self._folder, login)} if tool("oras") else {})

    @staticmethod
    def _name(registry: DistributionRegistry, client: str) -> str:
        return f"{'docker://' if client == 'skopeo' else ''}{registry.address}/os/windows-11:{OS_VERSION}"


def _copy(client: Skopeo | Oras, source: str, target: str, *, synced: str = "") -> Run:
    """Copy with a peer; ``synced`` is the folder that is then on the disk, as everything that ours stores."""
    command = [client.program, *client.copying(source, target)]
    if synced:
        command = ["sh", "-c", 'folder=$1; shift; "$@" && sync -f "$folder"', "sh", synced, *command]
    return run(command, environment=client.environment())


def _transfer(bench: Bench, repository: str, state: str, login: Login, **selection: object) -> tuple[Run, dict]:
    options = {
        "registry": login.address,
        "registry_username": login.username,
        "registry_password": login.password,
        "ca_path": str(login.ca_file),
    }
    return bench.job("transfer", repository=repository, state=state, **options, **selection)


def _compared(direction: str, runs: dict[str, list[Run]], size: int) -> list[Row]:
    ours = runs["ours"]
    subject = f"{direction} of the OS layer"
    rows = [
        Row(
            "distribute",
            subject,
            _speed(middle(ours), size),
            f"{name} {_speed(middle(theirs), size)}",
            middle(theirs) / middle(ours),
            Target(True, 1),
            peak(ours),
            f"{megabytes(size)}; peak memory of {name} {peak(theirs) / MIB:.0f} MiB",
            _NOTE,
            work(ours, theirs),
        )
        for name, theirs in runs.items()
        if name != "ours"
    ]
    memory = peak(ours) / MIB
    limit = Target(False, _LIMIT_MIB, " MiB")
    return [*rows, Row("distribute", f"peak memory, {subject}", f"{memory:.0f} MiB", "", memory, limit)]


def _second_template(bench: Bench, path: str, folder: pathlib.Path) -> list[Row]:
    """Push and pull a template, then a second template with the same OS layer and a new app layer."""
    rows = []
    files = bench.inputs.programs(_SECOND, 900_000, *((20, 5_000) if bench.quick else (500, 20_000)))
    with SimulatedRegistry(folder / "simulated", tls=True) as registry, bench.file("site") as site:
        bench.job("prepare", repository=site)
        _transfer(bench, path, "pushed", registry.login, templates=[TEMPLATE])
        _transfer(bench, site, "pulled", registry.login, templates=[TEMPLATE])
        _run, layer = bench.job("app_layer", repository=path, name=_SECOND, version="1.0", files=files)
        bench.job("template", repository=path, name=_SECOND, apps=[[_SECOND, "1.0"]])
        for direction, repository, state in (("push", path, "pushed"), ("pull", site, "pulled")):
            registry.clear_journal()
            done = _transfer(bench, repository, state, registry.login, templates=[_SECOND])[0]
            journal = registry.journal()
            moved = sum(entry.received if direction == "push" else entry.sent for entry in journal)
            rows.append(
                Row(
                    "distribute",
                    f"{direction} of a second template that shares the OS layer",
                    f"{megabytes(moved)}, {seconds(done.seconds)}",
                    f"its new layer {megabytes(layer['size'])}",
                    moved / layer["size"],
                    None if bench.quick else Target(False, _OVERHEAD),
                    done.memory,
                    f"{len(journal)} requests",
                    _SHARED,
                )
            )
    return rows


def _speed(took: float, length: int) -> str:
    return f"{seconds(took)}, {length / took / 1e6:.0f} MB/s"
