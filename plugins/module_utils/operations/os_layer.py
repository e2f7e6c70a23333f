# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OS layers as a playbook wants them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator

from ..catalog import layer_store, scripts
from ..catalog.documents import CONNECTOR, now, read_icon
from ..catalog.layers import (
    check_names,
    describe_version,
    keep_layer,
    layer_document,
    lock_of,
    new_document,
    refuse_other_script,
    remove_versions,
    with_words,
)
from ..common.errors import Conflict, Corrupt, InvalidInput, NotFound, StrataError, Unsupported
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..disk.block_device import BlockDevice
from ..images import os_import
from ..layers.layer_version import DEPLOYABLE, OS, ROLE_DISK, ROLE_GRAINS, Blob, LayerVersion
from ..ovf.package import Package, open_package
from ..repository.repository import Repository
from ..shares.local import LocalShare
from ..shares.location import check_path
from ..shares.open import open_share
from ..windows.readiness import failures
from .options import share_credentials
from .package_disk import disk_opener
from .repository import open_repository


def ensure_os_layer(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the OS layer version into ``state``."""
    check_names(params)
    repository = open_repository(params, check_mode=check_mode)
    if params["state"] == "absent":
        return remove_versions(repository, OS, params, check_mode=check_mode)
    icon, script = read_icon(params["icon"]), scripts.read_script(params["script"])
    name, version = params["name"], params["version"]
    if params["connector"] is not None:
        repository.catalog.require(CONNECTOR, params["connector"])
    with repository.locks.hold(
        lock_of(OS, name), shared=check_mode, timeout=3600, purpose=f"import the OS layer {name} {version}"
    ):
        before = layer_document(repository, OS, name)
        document = before or new_document(OS, name)
        warnings: list[str] = []
        if version in document["versions"]:
            _check_same_source(document, params)
            refuse_other_script(document, params, script)
            findings = layer_store.load_version(repository, document["versions"][version]["digest"]).facts.get(
                "readiness", []
            )
        else:
            with _package(params) as package:
                entry, findings = _import(repository, package, params, script, check_mode, progress)
            document = dict(document, versions=dict(document["versions"], **{version: entry}))
            if params["readiness"] == "warn":
                warnings = [
                    f"{finding['name']}: {finding['found']}. {finding['action']}" for finding in failures(findings)
                ]
        after = with_words(document, params)
        changed = keep_layer(repository, before, after, icon, params, check_mode=check_mode)
    return Outcome(changed, before, after, {"layer": describe_version(after, version), "readiness": findings}, warnings)


@contextlib.contextmanager
def _package(params: dict) -> Iterator[Package]:
    """The package that the options name, opened; its share is closed afterwards."""
    if not params["packaging_disk"]:
        raise InvalidInput(
            f"Version {params['version']} of the OS layer {params['name']} does not exist, and no package is given to import it from.",
            code="operations.os_no_package",
            hint="Give file_share and packaging_disk.",
        )
    with open_share(params["file_share"], share_credentials(params)) as share:
        if share.local_path("") is None:
            yield open_package(check_path(params["packaging_disk"]), share)
            return
        root = os.path.realpath(params["file_share"])
        path = os.path.join(root, params["packaging_disk"])
        if os.path.commonpath((root, os.path.realpath(path))) != root:
            raise InvalidInput(
                f"{params['packaging_disk']} leads out of the file share {params['file_share']}.",
                code="operations.os_outside_share",
                hint="Name a package within the share, and not by a link that leads elsewhere.",
            )
        below = os.path.relpath(path, root)
        # Others may write to the share: links among the package's files do not lead to other files of the composer either.
        yield open_package("" if below == "." else below, LocalShare(root, confined=True))


def _source(package: Package, params: dict) -> dict:
    """What a version remembers of its package: the manifest's digest stands for every byte of it."""
    if package.manifest is None:
        raise InvalidInput(
            f"The OVF package {package.path} has no manifest ({package.name}.mf).",
            code="operations.ovf_no_manifest",
            hint="Export the machine again with a manifest, for instance with strata.layering.ovf_export.",
        )
    with package.open(f"{package.name}.mf") as stream:
        return {
            "packaging_disk": params["packaging_disk"],
            "manifest_sha256": hashlib.sha256(stream.read()).hexdigest(),
        }


def _check_same_source(document: dict, params: dict) -> None:
    """Raise Conflict when an existing version was made from another package or with another size."""
    entry = document["versions"][params["version"]]
    what = f"Version {params['version']} of the OS layer {params['name']}"
    if entry["size_gb"] != params["max_layer_size_gb"]:
        raise Conflict(
            f"{what} has a disk of {entry['size_gb']} GiB, not {params['max_layer_size_gb']}.",
            code="operations.os_other_size",
            hint="A version never changes; give a new version, or set disk_size_gb of the image template.",
        )
    if not params["packaging_disk"]:
        return
    try:
        with _package(params) as package:
            source = _source(package, params)
    except NotFound:
        return  # The package may be removed once it has been imported.
    if source["manifest_sha256"] != entry["source"]["manifest_sha256"]:
        raise Conflict(
            f"{what} was imported from another package than {params['packaging_disk']} is now.",
            code="operations.os_other_package",
            hint="A version never changes; give a new version.",
        )


def _import(
    repository: Repository,
    package: Package,
    params: dict,
    script: scripts.Script | None,
    check_mode: bool,
    progress: Progress,
) -> tuple[dict, list[dict]]:
    source = _source(package, params)
    name, opener, examination = _windows_disk(package, params["max_layer_size_gb"])
    if params["readiness"] == "enforce":
        _enforce(params, examination.readiness)
    if check_mode:
        return _entry(None, 0, params, source, script, examination.facts), examination.readiness
    package.verify(progress)
    with repository.pin(purpose=f"import {name}") as pin:
        stored = os_import.store_disk(repository, opener, name, params["max_layer_size_gb"], progress=progress)
        pin.add([stored.vmdk.digest, stored.index.digest])
        layer = LayerVersion(
            OS,
            params["name"],
            params["version"],
            description=params["description"] or "",
            version_description=params["version_description"] or "",
            size_gb=params["max_layer_size_gb"],
            statistics={"bytes": stored.data_bytes},
            facts=dict(stored.examination.facts, readiness=stored.examination.readiness),
            blobs={
                ROLE_DISK: Blob(stored.vmdk.media_type, stored.vmdk.digest, stored.vmdk.size),
                ROLE_GRAINS: Blob(stored.index.media_type, stored.index.digest, stored.index.size),
            },
        )
        scripts.add_script(repository, layer, script, check_mode=check_mode)
        layer = layer_store.put_version(repository, layer)
    return _entry(layer.digest, stored.vmdk.size, params, source, script, layer.facts), stored.examination.readiness


def _entry(
    digest: str | None, size: int, params: dict, source: dict, script: scripts.Script | None, facts: dict
) -> dict:
    return {
        "digest": digest,
        "status": DEPLOYABLE,
        "size": size,
        "size_gb": params["max_layer_size_gb"],
        "version_description": params["version_description"] or "",
        "created": now(),
        "source": source,
        "script": scripts.describe(script),
        "windows": {
            key: facts.get(key)
            for key in ("product_name", "display_version", "build", "revision", "edition", "architecture", "firmware")
        },
    }


def _enforce(params: dict, findings: list[dict]) -> None:
    failed = failures(findings)
    if failed:
        first = failed[0]
        raise Conflict(
            f"The machine in {params['packaging_disk']} is not ready to become an OS layer: {first['found']}"
            + (f" (and {len(failed) - 1} more findings)." if len(failed) > 1 else "."),
            code="operations.os_not_ready",
            hint=first["action"],
            readiness=findings,
        )


def _windows_disk(package: Package, size_gb: int) -> tuple[str, Callable[[], BlockDevice], os_import.Examination]:
    """The one disk of a package that holds Windows: its file name, how to open it, what it is."""
    descriptor = package.descriptor
    if descriptor.collection or len(descriptor.systems) != 1:
        raise Unsupported(
            f"The OVF package {package.path} does not describe exactly one machine.",
            code="operations.ovf_not_single",
            hint="Export the OS machine by itself, not a vApp.",
        )
    found: list[tuple[str, Callable[[], BlockDevice], os_import.Examination]] = []
    refusals: list[StrataError] = []
    for disk in descriptor.disks:
        if disk.file_id is None:
            continue
        name = package.disk_file(disk)
        opener = disk_opener(package, name)
        try:
            _check_capacity(package, name, opener, disk.capacity)
            found.append((name, opener, os_import.examine(opener, name, size_gb)))
        except Unsupported as error:
            refusals.append(error)
    if len(found) > 1:
        raise Unsupported(
            f"Several disks of the OVF package {package.path} hold a Windows: {', '.join(name for name, _opener, _found in found)}.",
            code="operations.os_two_windows",
            hint="Export a machine with a single Windows.",
        )
    if found:
        return found[0]
    if refusals:
        # A disk that was refused for what its Windows is says more than one without any.
        raise min(
            refusals,
            key=lambda error: error.code in ("images.os_no_windows", "images.os_no_ntfs", "disk.partitions_none"),
        )
    raise Unsupported(
        f"The OVF package {package.path} has no disk.",
        code="operations.os_no_disk",
        hint="Export the machine with its disks.",
    )


def _check_capacity(package: Package, name: str, opener: Callable[[], BlockDevice], capacity: int) -> None:
    with opener() as device:
        if device.size != capacity:
            raise Corrupt(
                f"The disk {name} of the OVF {package.path} has {device.size} bytes, not the {capacity} that the descriptor says.",
                code="operations.ovf_capacity",
                hint="Copy or export the machine again.",
            )
