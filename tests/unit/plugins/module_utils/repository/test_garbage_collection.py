# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifying finds every damage; garbage collection removes only what nothing needs."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.oci_layout import MANIFEST
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify

OLD = -60.0  # a grace period that keeps nothing


def store(repository, content, reference=None):
    config = repository.layout.put_blob(b'{"of":"%b"}' % content, "a/config")
    layer = repository.layout.put_blob(content, "a/layer")
    return repository.layout.put_manifest(config, [layer], reference=reference), {config.digest, layer.digest}


def test_verify_lists_missing_and_damaged_blobs(repository):
    _sound, _blobs = store(repository, b"sound", "sound")
    damaged, _blobs = store(repository, b"damaged", "damaged")
    missing, _blobs = store(repository, b"missing", "missing")
    stray = repository.layout.put_blob(b"stray", "a/b")
    assert verify(repository) == []
    documents = {name: repository.layout.manifest(name)["layers"][0]["digest"] for name in ("damaged", "missing")}
    with open(repository.layout.blobs.path(documents["damaged"]), "r+b") as stream:
        stream.write(b"D")
    os.unlink(repository.layout.blobs.path(documents["missing"]))
    os.truncate(repository.layout.blobs.path(stray.digest), 2)
    found = {(damage.problem, damage.subject): damage.needed_by for damage in verify(repository)}
    assert found == {
        ("digest", documents["damaged"]): ("damaged",),
        ("missing", documents["missing"]): ("missing",),
        ("digest", stray.digest): (),
    }


def test_verify_reports_damaged_manifests_and_documents(repository):
    manifest, _blobs = store(repository, b"x", "x")
    repository.catalog.put("layer", "x", {})
    folder = os.path.join(repository.path, "catalog", "layer")
    with open(os.path.join(folder, os.listdir(folder)[0]), "wb") as stream:
        stream.write(b"{")
    with open(repository.layout.blobs.path(manifest.digest), "wb") as stream:
        stream.write(b"{}")
    assert {damage.problem for damage in verify(repository)} == {"manifest", "digest", "document"}


def refuse(kind, name, document):
    """Refuse every document whose name begins with bad."""
    if name.startswith("bad"):
        raise Corrupt(f"The {kind} {name} is damaged.", code="test.damaged")


def test_verify_reports_every_document_that_the_check_refuses(repository):
    for name in ("bad 1", "bad 2", "good"):
        repository.catalog.put("layer", name, {})
    assert [damage.to_dict() for damage in verify(repository, check=refuse)] == [
        {"problem": "document", "what": "layer", "message": f"The layer bad {number} is damaged.", "needed_by": []}
        for number in (1, 2)
    ]
    assert verify(repository) == []


def test_collect_removes_nothing_if_the_check_refuses_a_document(repository):
    unneeded = repository.layout.put_blob(b"unneeded", "a/b")
    repository.catalog.put("layer", "bad", {})
    with pytest.raises(Corrupt) as caught:
        collect(repository, grace=OLD, check=refuse)
    assert caught.value.code == "repository.collect_unsafe"
    assert caught.value.details["damaged"][0]["message"] == "The layer bad is damaged."
    assert repository.layout.has(unneeded.digest)
    assert collect(repository, grace=OLD).blobs == [unneeded.digest]


def test_collect_keeps_blobs_that_references_and_documents_name(repository):
    kept, kept_blobs = store(repository, b"kept", "kept")
    cataloged, cataloged_blobs = store(repository, b"cataloged")
    thin = repository.layout.put_blob(b"thin image", "a/b")
    repository.catalog.put(
        "layer",
        "x",
        {"deep": [{"digest": cataloged.digest}], "image": f"built from {thin.digest}", "other": "sha256:" + "0" * 64},
    )
    gone, gone_blobs = store(repository, b"gone")
    dry = collect(repository, grace=OLD, dry_run=True)
    assert set(dry.blobs) == {gone.digest, *gone_blobs}
    assert repository.layout.has(gone.digest)
    result = collect(repository, grace=OLD)
    assert set(result.blobs) == {gone.digest, *gone_blobs}
    assert result.freed == dry.freed == gone.size + len(b'{"of":"gone"}') + len(b"gone")
    assert set(repository.layout.blobs.digests()) == {
        kept.digest,
        *kept_blobs,
        cataloged.digest,
        *cataloged_blobs,
        thin.digest,
    }
    assert collect(repository, grace=OLD).freed == 0


def test_collect_keeps_recent_blobs_and_temporary_files(repository):
    blob = repository.layout.put_blob(b"new", "a/b")
    stray = os.path.join(repository.path, "tmp", ".strata-tmp-x")
    with open(stray, "wb") as stream:
        stream.write(b"12345")
    result = collect(repository)
    assert result.kept_young == 1
    assert repository.layout.has(blob.digest)
    assert os.path.exists(stray)
    for path in (stray, repository.layout.blobs.path(blob.digest)):
        os.utime(path, (1, 1))
    repository.layout.put_blob(b"new", "a/b")  # stored again: recent again
    result = collect(repository)
    assert (result.temporaries, result.freed, result.kept_young) == (1, 5, 1)


def test_pin_that_is_read_while_it_grows_keeps_its_blobs(repository):
    manifest, _blobs = store(repository, b"pinned")
    with repository.pin([manifest.digest], purpose="publish"):
        [name] = os.listdir(os.path.join(repository.path, "pins"))
        with open(os.path.join(repository.path, "pins", name), "r+b") as stream:
            data = stream.read().replace(b"]}", b", ")
            stream.seek(0)
            stream.write(data)
            stream.truncate()
        assert collect(repository, grace=OLD).blobs == []


def test_pins_keep_blobs_while_their_task_runs(repository):
    manifest, blobs = store(repository, b"pinned")
    plain = repository.layout.put_blob(b"plain", "a/b")
    with repository.pin([manifest.digest], purpose="publish") as pin:
        pin.add([plain.digest, "sha256:" + "0" * 64])
        assert collect(repository, grace=OLD).blobs == []
    assert len(collect(repository, grace=OLD).blobs) == 4
    assert os.listdir(os.path.join(repository.path, "pins")) == []


def test_pin_of_a_killed_task_is_removed(repository):
    blob = repository.layout.put_blob(b"x", "a/b")
    ready, report = os.pipe()
    child = os.fork()
    if not child:
        with repository.pin([blob.digest]):
            os.write(report, b"x")
            signal.pause()
    os.read(ready, 1)
    assert collect(repository, grace=OLD).blobs == []
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert collect(repository, grace=OLD).blobs == [blob.digest]
    assert os.listdir(os.path.join(repository.path, "pins")) == []
    os.close(ready)
    os.close(report)


@pytest.mark.parametrize("how", ["missing", "damaged", "not a manifest"])
def test_collect_removes_nothing_if_a_manifest_cannot_be_read(repository, how):
    manifest, _blobs = store(repository, b"x", "x")
    unneeded = repository.layout.put_blob(b"unneeded", "a/b")
    path = repository.layout.blobs.path(manifest.digest)
    if how == "missing":
        os.unlink(path)
    elif how == "damaged":
        with open(path, "r+b") as stream:
            stream.write(b"[")
    else:
        other = repository.layout.put_blob(b'{"layers":[],"config":1}', MANIFEST)
        with repository.layout._changing_index() as manifests:
            manifests.append(Descriptor(MANIFEST, other.digest, other.size).to_json())
    with pytest.raises(Corrupt) as caught:
        collect(repository, grace=OLD)
    assert caught.value.code == "repository.collect_unsafe"
    assert repository.layout.has(unneeded.digest)


def test_collect_forgets_that_a_blob_was_verified(repository):
    big = repository.layout.put_blob(bytes(2 << 20), "a/b")
    memory = repository.layout.blobs._verified._file(big.digest)
    assert os.path.exists(memory)
    collect(repository, grace=OLD)
    assert not os.path.exists(memory)
