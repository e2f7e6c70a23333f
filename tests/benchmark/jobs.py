# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measured jobs, each run in its own process.

``python -m ansible_collections.strata.layering.tests.benchmark.jobs JOB`` reads the job's
arguments as JSON from standard input and prints its result as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

OS_LAYER = "Windows 11"
OS_VERSION = "1.0"
_CONNECTOR = {
    "name": "bench",
    "datacenter": "DC0",
    "cluster": "DC0_C0",
    "datastore": "LocalDS_0",
    "folder": "Images",
    "vm_template": "windows-template",
}


# Imports are inside the functions, so that a job loads only the modules that the corresponding Ansible module loads.
# pylint: disable=import-outside-toplevel


def encode(source: str, output: str) -> dict:
    """Encode a raw disk as a stream-optimized VMDK."""
    from ...plugins.module_utils.disk.block_device import FileDevice
    from ...plugins.module_utils.disk.encode import encode as encode_disk

    with FileDevice(source) as device, open(output, "wb") as out:
        index = encode_disk(device, out)
    return {"grains": len(index)}


def prepare(repository: str) -> dict:
    """Create an empty repository with a connector."""
    _module("repository", repository=repository)
    _module("connector", repository=repository, **_CONNECTOR)
    return {}


def import_os(repository: str, share: str, package: str, size_gb: int) -> dict:
    """Import an exported OS machine as an OS layer."""
    done = _module(
        "os_layer",
        repository=repository,
        name=OS_LAYER,
        version=OS_VERSION,
        max_layer_size_gb=size_gb,
        file_share=share,
        packaging_disk=package,
        readiness="warn",
    )
    return {"size": done["layer"]["size"]}


def app_layer(repository: str, name: str, version: str, files: str) -> dict:
    """Create an app layer from a folder."""
    done = _module(
        "app_layer", repository=repository, name=name, version=version, files=files, os_layer={"name": OS_LAYER}
    )
    return {"size": done["layer"]["size"], "bytes": done["changes"]["bytes"]}


def app_layers(repository: str, layers: list[list[str]]) -> dict:
    """Create several app layers from (name, version, folder)."""
    return {"layers": [app_layer(repository, *layer) for layer in layers]}


def template(repository: str, name: str, apps: list[list[str]]) -> dict:
    """Create an image template with the app layers (name, version)."""
    _module(
        "image_template",
        repository=repository,
        name=name,
        os_layer={"name": OS_LAYER, "version": OS_VERSION},
        connector="bench",
        app_layers=[{"name": app, "version": version} for app, version in apps],
    )
    return {}


def compose(repository: str, name: str, forget_verified: bool = False) -> dict:
    """Compose a template's thin image.

    With ``forget_verified``, blobs are verified again, as on a host that has not verified any blob yet.
    """
    import shutil

    from ...plugins.module_utils.images.composing.layered_image import compose_template

    if forget_verified:
        shutil.rmtree(os.path.join(os.environ["XDG_CACHE_HOME"], "strata.layering"), ignore_errors=True)
    begin = time.perf_counter()
    opened, resolved = _resolve(repository, name)
    image = compose_template(opened, resolved)
    return {
        "seconds": time.perf_counter() - begin,
        "statistics": image.config.statistics.to_dict(),
        "length": image.plan().length,
    }


def forget_images(repository: str) -> dict:
    """Remove all thin images and the blobs that only they reference."""
    from ...plugins.module_utils.images.stored.thin_image import read_config, reference_of, stored
    from ...plugins.module_utils.repository.repository import Repository

    opened = Repository.open(repository, writable=True)
    for digest in stored(opened):
        manifest = opened.layout.manifest(reference_of(digest))
        base = read_config(opened, digest).os_layer.digest
        kept = {layer["digest"] for layer in opened.layout.manifest(base)["layers"]}
        opened.layout.remove_reference(reference_of(digest))
        for layer in manifest["layers"]:
            if layer["digest"] not in kept:
                opened.layout.blobs.remove(layer["digest"])
    return {}


def write_image(repository: str, name: str, output: str, sync: bool) -> dict:
    """Write a composed image to a file."""
    from ...plugins.module_utils.images.composing.layered_image import compose_template

    image = compose_template(*_resolve(repository, name))
    begin = time.perf_counter()
    length, chunks = image.stream()
    with open(output, "wb", buffering=0) as out:
        for chunk in chunks:
            out.write(chunk)
        if sync:
            os.fsync(out.fileno())
    return {"seconds": time.perf_counter() - begin, "length": length}


def export_image(repository: str, name: str, output: str, form: str) -> dict:
    """Export a composed image to a file."""
    from ...plugins.module_utils.images.composing.layered_image import compose_template
    from ...plugins.module_utils.images.image_files import export

    image = compose_template(*_resolve(repository, name))
    begin = time.perf_counter()
    length = export(image, output, form, name=name, firmware="efi")
    return {"seconds": time.perf_counter() - begin, "length": length, "allocated": os.stat(output).st_blocks * 512}


def write_package(repository: str, name: str, folder: str) -> dict:
    """Write a composed image as an OVF package."""
    from ...plugins.module_utils.images.composing.layered_image import compose_template
    from ...plugins.module_utils.ovf.descriptor_writer import ImageDescription, write_descriptor

    image = compose_template(*_resolve(repository, name))
    length, chunks = image.stream()
    disk, ovf = (os.path.join(folder, f"image.{suffix}") for suffix in ("vmdk", "ovf"))
    with open(disk, "wb") as out:
        for chunk in chunks:
            out.write(chunk)
    with open(ovf, "wb") as out:
        out.write(
            write_descriptor(
                ImageDescription(
                    name="image",
                    disk_file="image.vmdk",
                    disk_size=length,
                    capacity=image.capacity,
                    guest_id="windows9_64Guest",
                    firmware="efi",
                )
            )
        )
    return {"ovf": ovf}


def publish(repository: str, name: str, connection: dict) -> dict:
    """Publish a template as a VM with a snapshot and remove the VMs of older images."""
    begin = time.perf_counter()
    task = _module("layered_image_publish", repository=repository, templates=[name], keep=0, **connection)["tasks"][0]
    return {
        "seconds": time.perf_counter() - begin,
        "timings": task["timings"],
        "bytes": task["bytes"],
        "status": task["status"],
    }


def preflight(repository: str, name: str, connection: dict) -> dict:
    """Run the checks of a publish; return the seconds of looking up the names, of all checks and of each check."""
    from ...plugins.module_utils.preflight.checks import CHECKS
    from ...plugins.module_utils.publish.machine.placement import resolve_placement
    from ...plugins.module_utils.publish.preflight import image_needs
    from ...plugins.module_utils.publish.preflight import preflight as run_preflight
    from ...plugins.module_utils.vsphere.session import Session

    opened, resolved = _resolve(repository, name)
    with Session.connect(**connection) as session:
        began = time.monotonic()
        target = resolve_placement(session, resolved.connector, create_folder=False)
        found = time.monotonic()
        run_preflight(opened, session, resolved, target)
        done = time.monotonic()
        needs = image_needs(opened, target, resolved.os_layer, resolved.layers, resolved.disk_size_gb)
        subject = target.preflight(session, needs)
        each = {}
        for name, check in CHECKS.items():
            start = time.monotonic()
            check(subject)
            each[name] = time.monotonic() - start
    return {"lookup": found - began, "checks": done - found, "each": each}


def watch_pushes(connection: dict, control: str, image: list[str], interval: int) -> dict:
    """Push an image to all pools of a Horizon simulator and wait until all desktops have it."""
    from .horizon import watch

    return watch(connection, control, image, interval)


def packaging_disk(repository: str, output: str) -> dict:
    """Write the raw disk of a packaging machine without prerequisites."""
    from ...plugins.module_utils.catalog.layers import find_version
    from ...plugins.module_utils.images.composing.layered_image import compose_stack
    from ...plugins.module_utils.images.image_files import export
    from ...plugins.module_utils.repository.repository import Repository

    opened = Repository.open(repository, writable=True)
    export(
        compose_stack(opened, find_version(opened, "os", OS_LAYER, OS_VERSION), ()),
        output,
        "raw",
        name="packaging",
        firmware="efi",
    )
    return {}


def layer_artifact(repository: str) -> dict:
    """Return digest, reference and size in bytes of the OS layer's artifact."""
    from ...plugins.module_utils.catalog.layer_store import layer_reference_name
    from ...plugins.module_utils.repository.repository import Repository

    reference = layer_reference_name("os", OS_LAYER, OS_VERSION)
    layout = Repository.open(repository).layout
    found = layout.references()[reference]
    return {
        "digest": found.digest,
        "reference": reference,
        "size": sum(layer["size"] for layer in layout.manifest(reference)["layers"]),
    }


def transfer(repository: str, **options) -> dict:
    """Push to a registry or pull from it."""
    return {"changed": _module("layer_transfer", repository=repository, **options)["changed"]}


def install(disk: str, files: str, replaced: int, removed: int, keys: int) -> dict:
    """Change a raw disk as an installer does."""
    from . import installing

    installing.install(disk, files, replaced=replaced, removed=removed, keys=keys)
    return {}


def capture(repository: str, name: str, version: str, disk: str) -> dict:
    """Capture the raw disk of a packaging machine as an app layer."""
    done = _module(
        "app_layer",
        repository=repository,
        name=name,
        version=version,
        packaged_disk=disk,
        os_layer={"name": OS_LAYER},
        finalize="warn",
    )
    return {"changes": done["changes"]}


def publish_all(repository: str, names: list[str], parallel: int, connection: dict) -> dict:
    """Publish templates as VMs with snapshots."""
    tasks = _module("layered_image_publish", repository=repository, templates=names, parallel=parallel, **connection)[
        "tasks"
    ]
    return {"statuses": [task["status"] for task in tasks]}


def statistics(repository: str, name: str) -> dict:
    """Return the composing statistics of a template's image, which must be in the repository."""
    from ...plugins.module_utils.images.stored import thin_image

    opened, resolved = _resolve(repository, name)
    return thin_image.read_config(opened, resolved.content_digest).statistics.to_dict()


def make_hive(output: str, delta: str, keys: int, changed: int) -> dict:
    """Write a hive of ``keys`` keys with three values each, and a delta of ``changed`` keys, of which half are new."""
    from ...plugins.module_utils.winregistry.delta_builder import DeltaBuilder
    from ...plugins.module_utils.winregistry.delta_format import write_delta
    from ...plugins.module_utils.winregistry.hive_model import Hive
    from ...plugins.module_utils.winregistry.hive_writer import write_hive

    hive = Hive.new("SOFTWARE")
    for group in range(0, keys, 1000):
        parent = hive.root.create(f"Classes\\Group {group:07}")
        for number in range(group, min(group + 1000, keys)):
            key = parent.create(f"{{{number:08x}-0000-4000-8000-00aa00bb00cc}}")
            for name in ("", "ThreadingModel", "InprocServer32"):
                key.set_value(name, 1, f"C:\\Program Files\\Vendor\\Component {number:08}.dll".encode("utf-16-le"))
    builder = DeltaBuilder("SOFTWARE", hive)
    for number in range(changed):
        index = number * (keys // changed)
        folder = "Added" if number % 2 else f"Group {index // 1000 * 1000:07}"
        builder.set_value(
            f"Classes\\{folder}\\{{{index:08x}-0000-4000-8000-00aa00bb00cc}}",
            "Changed",
            1,
            f"value {number}".encode("utf-16-le"),
        )
    with open(output, "wb") as out:
        out.write(write_hive(hive))
    with open(delta, "wb") as out:
        out.write(write_delta(builder.finish()))
    return {}


def merge_hive(hive: str, delta: str) -> dict:
    """Read a hive, merge a delta into it and write the result to memory."""
    from ...plugins.module_utils.winregistry.delta_format import read_delta
    from ...plugins.module_utils.winregistry.delta_merge import merge_deltas
    from ...plugins.module_utils.winregistry.hive_reader import read_hive
    from ...plugins.module_utils.winregistry.hive_writer import write_hive
    from ...plugins.module_utils.winregistry.merge_rules import compile_rules

    begin = time.perf_counter()
    with open(hive, "rb") as stream:
        data = stream.read()
    size, base = len(data), read_hive(data)
    read_at = time.perf_counter()
    with open(delta, "rb") as stream:
        merge_deltas(base, [("layer", read_delta(stream.read()))], compile_rules())
    merged_at = time.perf_counter()
    write_hive(base)
    return {
        "size": size,
        "read": read_at - begin,
        "merge": merged_at - read_at,
        "write": time.perf_counter() - merged_at,
    }


def rewrite_hive(hive: str) -> dict:
    """Read a hive with every value and write it to memory."""
    from ...plugins.module_utils.winregistry.hive_reader import read_hive
    from ...plugins.module_utils.winregistry.hive_writer import write_hive

    with open(hive, "rb") as stream:
        data = stream.read()
    begin = time.perf_counter()
    opened = read_hive(data)
    count = sum(len(key.values) for _path, key in opened.root.walk())
    read_at = time.perf_counter()
    write_hive(opened)
    return {"values": count, "read": read_at - begin, "write": time.perf_counter() - read_at}


def merge_layers(layers: int, count: int) -> dict:
    """Merge layers of ``count`` files and keys each, of which half are in all layers."""
    from ...plugins.module_utils.images.stack.stack_merge import merge
    from ...plugins.module_utils.layers.entry import Entry
    from ...plugins.module_utils.winregistry.delta_builder import DeltaBuilder
    from ...plugins.module_utils.winregistry.delta_merge import combine_deltas
    from ...plugins.module_utils.winregistry.hive_model import Hive
    from ...plugins.module_utils.winregistry.merge_rules import compile_rules

    stack, deltas, empty = [], [], Hive.new("SOFTWARE")
    for layer in range(layers):
        names = [f"Shared {number}" if number % 2 else f"Own {layer} {number}" for number in range(count)]
        stack.append(
            (
                f"layer {layer}",
                [Entry(f"Program Files/Part {number % 50}/{name}", "file") for number, name in enumerate(names)],
            )
        )
        builder = DeltaBuilder("SOFTWARE", empty)
        for name in names:
            builder.set_value(f"Vendor\\{name}", "Version", 1, f"{layer}".encode("utf-16-le"))
        deltas.append((f"layer {layer}", builder.finish()))
    begin = time.perf_counter()
    tree = merge(stack, str.upper)
    merged_at = time.perf_counter()
    merged = combine_deltas(deltas, compile_rules())
    end = time.perf_counter()
    paths, keys = sum(1 for _node in tree.nodes()), sum(1 for _key in merged.delta.walk())
    return {"files": merged_at - begin, "keys": end - merged_at, "paths": paths, "merged_keys": keys}


def _module(module: str, /, **options) -> dict:
    from ..support.modules import run

    return run(module, **options)


def _resolve(repository: str, name: str) -> tuple:
    from ...plugins.module_utils.catalog.templates import require_resolved
    from ...plugins.module_utils.repository.repository import Repository

    opened = Repository.open(repository, writable=True)
    return opened, require_resolved(opened, name)


_JOBS: tuple[Callable[..., dict], ...] = (
    encode,
    prepare,
    import_os,
    app_layer,
    app_layers,
    template,
    compose,
    forget_images,
    write_image,
    export_image,
    write_package,
    publish,
    preflight,
    watch_pushes,
    publish_all,
    statistics,
    packaging_disk,
    layer_artifact,
    transfer,
    install,
    capture,
    make_hive,
    merge_hive,
    rewrite_hive,
    merge_layers,
)


def main() -> None:
    """Run the job named on the command line."""
    job = {function.__name__: function for function in _JOBS}[sys.argv[1]]
    sys.stdout.write(json.dumps(job(**json.load(sys.stdin))) + "\n")


if __name__ == "__main__":
    main()
