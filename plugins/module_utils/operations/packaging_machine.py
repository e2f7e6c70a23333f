# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines as a playbook wants them: there and running, finalized, or gone.

The catalogue has a document for each machine, named as its mark: kind, layer, version,
os_layer, prerequisites and start_from (references), connector, ``given`` (content_digest and
manifest of the image that capturing compares with, which is kept as long), ``vm`` (None until it
was made), ``package`` (folder of its export, None until then), ``finalizing`` (whether it was
asked to shut down for its export), ``export_begun_after`` and ``exported_after`` (number of the
event of its last power on before the export).
"""

from __future__ import annotations

import os

from ..catalog import layer_store
from ..catalog.collections import connectors
from ..catalog.kinds import CONNECTOR, PACKAGING
from ..catalog.layers import check_names, find_layer, find_version
from ..catalog.templates import stack_of
from ..common.errors import Conflict, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..common.timestamps import now
from ..images.thin_image import reference_of
from ..layers.layer_version import APP, OS, LayerReference
from ..packaging.machine import (
    KEY_CONTENT,
    STARTED,
    UPLOADING,
    Packaging,
    compose_given,
    compose_machine,
    create_machine,
    find_machine,
    machine_prefix,
    packaging_key,
    ran_for,
    start_machine,
)
from ..publish.machine_state import remove_machine
from ..publish.placement import check_firmware, resolve_placement
from ..publish.retention import depends_on
from ..publish.vm_metadata import KEY_STATE
from ..shares.local import missing_share
from ..shares.open import open_share
from ..shares.share import Share
from ..vsphere import vm as machines
from ..vsphere import vm_export
from ..vsphere.inventory import Inventory
from ..vsphere.properties import read, wait_for
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from .options import RepositoryOptions, share_credentials, version_requests

ACTION_REQUIRED, PENDING, COMPLETE = "ActionRequired", "Pending", "Complete"
_OFF = "poweredOff"


def ensure_packaging_machine(
    params: dict, *, connection: dict, check_mode: bool, progress: Progress = silent
) -> Outcome:
    """Bring the packaging machine of a layer version into ``state``."""
    check_names(params["name"], params["version"])
    repository = RepositoryOptions.from_params(params).open(check_mode=check_mode)
    key = packaging_key(params["kind"], params["name"], params["version"])
    with (
        repository.locks.hold(f"packaging/{key}", shared=check_mode, timeout=0, purpose=f"package {key}"),
        Session.connect(**connection) as session,
    ):
        machine = _Machine(repository, session, params, check_mode, progress)
        return {"present": machine.present, "finalized": machine.finalized, "absent": machine.absent}[params["state"]]()


class _Machine:
    """One packaging machine, as it was found and as it is to be."""

    def __init__(self, repository, session: Session, params: dict, check_mode: bool, progress: Progress) -> None:
        self._repository, self._session, self._params = repository, session, params
        self._check_mode, self._progress = check_mode, progress
        self._kind, self._name, self._version = params["kind"], params["name"], params["version"]
        self._key = packaging_key(self._kind, self._name, self._version)
        self._what = f"the {self._kind} layer {self._name} {self._version}"
        self._document: dict | None = repository.catalog.get(PACKAGING, self._key)
        self._facts = find_machine(
            session, self._key, self._document, self._place(), machine_prefix(self._name, self._version)
        )
        layer = find_layer(repository, self._kind, self._name)
        self._captured = layer is not None and self._version in layer.versions
        self._warnings: list[str] = []

    # -- the states

    def present(self) -> Outcome:
        """Make the machine unless it is there, and start it unless it was."""
        facts = self._facts
        if self._captured:
            shown = self._shown(facts, self._recorded())
            return Outcome(
                False,
                shown,
                shown,
                self._result(COMPLETE, f"Version {self._version} of the {self._kind} layer {self._name} was captured."),
            )
        wanted = self._wanted()
        if facts is not None and facts.extra_config.get(KEY_CONTENT) != wanted.content_digest:
            raise Conflict(
                f"The packaging machine {facts.path} of {self._what} was made from something else than {', '.join(wanted.made_from)}.",
                code="operations.packaging_other_composition",
                hint="Go on with what it was made from, or remove it with state absent and begin anew.",
                made_from=self._recorded(),
            )
        if facts is not None and facts.extra_config.get(KEY_STATE) == UPLOADING:
            # A run was cut off while its disk was uploaded; nobody can have worked on it.
            if not self._check_mode:
                remove_machine(self._session, facts)
            facts = None
        before = self._shown(facts, wanted.made_from)
        again = before is not None and before["started"] and self._is_to_go_on(facts)
        if again:
            before["started"] = False
        after = {
            "machine": facts.name if facts else wanted.machine_name,
            "made_from": wanted.made_from,
            "started": True,
        }
        if before != after and self._check_mode:
            self._target(wanted, create_folder=False)
            name = after["machine"]
            return Outcome(
                True,
                before,
                after,
                self._result(
                    ACTION_REQUIRED, f"The packaging machine {name} of {self._what} would be made and started."
                ),
            )
        if facts is None:
            facts = self._make(wanted)
        if again or facts.extra_config.get(KEY_STATE) != STARTED:
            start_machine(self._session, self._vm(facts))
        if before != after:
            self._audit("power on" if again else "create", made_from=wanted.made_from)
            facts = read_facts(self._session, self._vm(facts))
        self._record(facts, wanted)
        self._facts = facts
        if facts.power_state != _OFF and self._params["wait_for_address"] and not self._check_mode:
            self._await_address(facts)
        if facts.power_state == _OFF:
            return Outcome(before != after, before, after, self._switched_off(facts), self._warnings)
        return Outcome(
            before != after, before, after, self._result(ACTION_REQUIRED, self._action(facts)), self._warnings
        )

    def finalized(self) -> Outcome:
        """Shut the machine down and export its disk."""
        facts, share = self._facts, self._params["file_share"]
        if facts is None:
            if self._captured:
                return Outcome(
                    False,
                    result=self._result(
                        COMPLETE, f"Version {self._version} of the {self._kind} layer {self._name} was captured."
                    ),
                )
            raise NotFound(
                f"There is no packaging machine of {self._what}.",
                code="operations.packaging_missing",
                hint="Make it with state present.",
            )
        if facts.extra_config.get(KEY_STATE) != STARTED:
            raise Conflict(
                f"The packaging machine {facts.path} has never been started.",
                code="operations.packaging_not_started",
                hint="Run with state present first.",
            )
        if self._document is None:
            raise Conflict(
                f"The repository does not know the packaging machine {facts.path}.",
                code="operations.packaging_not_recorded",
                hint="Run with state present first.",
            )
        share = open_share(share, share_credentials(self._params))
        if not share.is_folder():
            raise missing_share(share.name)
        self._check_given()
        running, package = facts.power_state != _OFF, self._package(facts)
        target, vm = share.folder(package), self._vm(facts)
        folder = target.where()
        if running:
            self._require_shutdown(facts)
        # The same settings are not the same disk: an export counts only when nothing has run in the machine since.
        powered_on = machines.last_power_on(self._session, vm)
        ran = running or powered_on not in (None, self._document.get("exported_after"))
        done = None if ran else vm_export.exported(self._session, vm, target, name=package)
        before = {"power_state": facts.power_state, "package": folder if done else None}
        after = {"power_state": _OFF, "package": folder}
        if not self._check_mode:
            self._store(finalizing=True)
            if running:
                machines.shutdown_guest(
                    self._session, vm, timeout=self._params["shutdown_timeout"], progress=self._progress
                )
            if done is None:
                done = self._export(vm, target, package, powered_on)
                self._warnings += done.warnings
            self._facts = read_facts(self._session, vm)
            if before != after:
                self._audit("finalize", package=folder)
        result = self._result(
            COMPLETE,
            f"The disk of the packaging machine {facts.name} is in {folder}: capture it as {self._what}, then remove the machine.",
        )
        result["packaged_disk"] = done.ovf if done else target.where(vm_export.descriptor_name(package))
        return Outcome(before != after, before, after, result, self._warnings)

    def absent(self) -> Outcome:
        """Delete the machine and, if asked for, its package."""
        facts, document = self._facts, self._document
        folder = self._package_folder()
        remove = folder is not None and self._params["remove_package"]
        before = {"machine": facts.path if facts else None, "recorded": document is not None, "package": folder}
        after = {"machine": None, "recorded": False, "package": None if remove else folder}
        if before == after:
            return Outcome(False, before, after)
        clones = depends_on(self._session, facts) if facts is not None else []
        if clones:
            depend = "depends" if len(clones) == 1 else "depend"
            raise Conflict(
                f"The packaging machine {facts.path} of {self._what} cannot be deleted: {', '.join(clones)} {depend} on its disk.",
                code="operations.packaging_cloned",
                hint="Delete the linked clones first, or give them disks of their own.",
                machines=clones,
            )
        if not self._check_mode:
            if facts is not None:
                remove_machine(self._session, facts)
            if remove:
                vm_export.remove_export(open_share(folder, share_credentials(self._params)), os.path.basename(folder))
            self._repository.catalog.delete(PACKAGING, self._key)
            self._audit("delete", machine=before["machine"], package=folder if remove else None)
        return Outcome(True, before, after)

    # -- what it takes

    def _place(self) -> tuple[str, str] | None:
        """Datacenter and folder of the connector, None where none is known."""
        name = self._params["connector"] or (self._document or {}).get("connector")
        connector = self._repository.catalog.get(CONNECTOR, name) if name else None
        return (connector["datacenter"], connector["folder"]) if connector else None

    def _wanted(self) -> Packaging:
        """What the machine is to be made from. Where no version of the OS layer is asked for, a machine keeps the one it has."""
        asked, recorded = self._params["os_layer"], (self._document or {}).get("os_layer")
        version = asked["version"]
        if version is None and self._facts is not None and recorded and recorded["name"] == asked["name"]:
            version = recorded["version"]
        os_layer = find_version(self._repository, OS, asked["name"], version)
        what = self._what[0].upper() + self._what[1:]
        prerequisites = stack_of(
            self._repository,
            os_layer.name,
            version_requests(self._params["prerequisites"]),
            user=self._what.removeprefix("the "),
        )
        if self._kind == APP and any(one.name == self._name for one in prerequisites):
            raise InvalidInput(
                f"{what} cannot have a version of itself as a prerequisite.",
                code="operations.packaging_prerequisite",
                hint="Use start_from to go on from an earlier version of the layer.",
            )
        return Packaging(
            self._kind, self._name, self._version, os_layer, prerequisites, self._start_from(os_layer.name)
        )

    def _start_from(self, os_layer: str):
        if not self._params["start_from"]:
            return None
        found = find_version(self._repository, self._kind, self._name, self._params["start_from"])
        made_for = self._repository.catalog.require(f"{self._kind}_layer", self._name)["versions"][found.version][
            "os_layer"
        ]
        if made_for["name"] != os_layer:
            raise Conflict(
                f"Version {found.version} of the {self._kind} layer {self._name} was made for the OS layer {made_for['name']}, not for {os_layer}.",
                code="operations.packaging_other_os_layer",
                hint="Leave start_from out and install the application anew.",
            )
        return found

    def _target(self, wanted: Packaging, *, create_folder: bool):
        target = resolve_placement(
            self._session,
            connectors(self._repository).require(self._params["connector"]),
            create_folder=create_folder,
        )
        check_firmware(
            target,
            layer_store.load_version(self._repository, wanted.os_layer.digest).facts.get("firmware"),
            wanted.os_layer.name,
        )
        return target

    def _is_to_go_on(self, facts: VmFacts) -> bool:
        """Whether the machine was switched off before its work was done, and is to be powered on again."""
        return self._params["power_on"] and facts.power_state == _OFF and not (self._document or {}).get("finalizing")

    def _make(self, wanted: Packaging) -> VmFacts:
        target = self._target(wanted, create_folder=True)
        # Recorded before it is composed: from then on the image is kept.
        self._document = self._new_document(wanted)
        self._repository.catalog.put(PACKAGING, self._key, self._document)
        given = compose_given(self._repository, wanted, self._progress)
        self._store(given={"content_digest": given.content_digest, "manifest": given.manifest.digest})
        image = compose_machine(self._repository, wanted, given, self._progress)
        deployed = create_machine(self._session, target, wanted, image, self._progress)
        self._warnings += deployed.warnings
        return read_facts(self._session, deployed.vm)

    def _new_document(self, wanted: Packaging) -> dict:
        return {
            "kind": self._kind,
            "layer": self._name,
            "version": self._version,
            "os_layer": wanted.os_layer.to_dict(),
            "prerequisites": [one.to_dict() for one in wanted.prerequisites],
            "start_from": wanted.start_from.to_dict() if wanted.start_from else None,
            "connector": self._params["connector"],
            "given": {"content_digest": wanted.given_digest, "manifest": None},
            "vm": None,
            "package": None,
            "finalizing": False,
            "created": now(),
        }

    def _record(self, facts: VmFacts, wanted: Packaging) -> None:
        """Keep where the machine is; a record that was lost is made again as far as it can be."""
        if self._check_mode:
            return
        if self._document is None:
            self._document = self._new_document(wanted)
        self._store(
            vm={"name": facts.name, "moid": facts.moid, "instance_uuid": facts.instance_uuid, "path": facts.path}
        )

    def _store(self, **changes) -> None:
        if self._document is not None:
            self._document = self._document | changes
            self._repository.catalog.put(PACKAGING, self._key, self._document)

    def _check_given(self) -> None:
        """Raise Conflict when the image that the disk is to be compared with is no longer the one that was given out."""
        given = self._document["given"]
        if given["manifest"] is None:
            return  # The record was lost and made anew; capturing tells.
        found = self._repository.layout.references().get(reference_of(given["content_digest"]))
        if found is None or found.digest != given["manifest"]:
            raise Conflict(
                f"The image from which the packaging machine of {self._what} was made is no longer in the repository.",
                code="operations.packaging_given_lost",
                hint="Restore the repository from a backup, or remove the machine with state absent and begin anew.",
            )

    def _require_shutdown(self, facts: VmFacts) -> None:
        if not self._params["shutdown"]:
            hint = "Shut Windows down in the machine, or set shutdown to true."
        elif facts.guest["tools_running"] != "guestToolsRunning":
            hint = "VMware Tools do not run in it, so Windows has to be shut down there."
        else:
            return
        raise Conflict(self._action(facts), code="operations.packaging_running", hint=hint, status=ACTION_REQUIRED)

    def _export(self, vm, folder: Share, package: str, powered_on: int | None) -> vm_export.Export:
        # An export that was cut off goes on, unless the machine has run since it began.
        begun = self._document.get("export_begun_after", powered_on)
        self._store(package=folder.where(), export_begun_after=powered_on, exported_after=None)
        done = vm_export.export_vm(
            self._session, vm, folder, name=package, force=begun != powered_on, progress=self._progress
        )
        self._store(exported_after=powered_on)
        return done

    def _package(self, facts: VmFacts) -> str:
        package = self._params["package"] or facts.name
        if package in (".", "..") or os.sep in package or "\\" in package or "\0" in package:
            raise InvalidInput(
                f"{package!r} cannot be the name of a package's folder.",
                code="operations.ovf_package",
                hint="Set package to a plain folder name.",
            )
        return package

    def _package_folder(self) -> str | None:
        """The folder of the machine's package, None when there is none."""
        folder = (self._document or {}).get("package")
        if folder is None and self._params["file_share"] and self._params["package"]:
            folder = open_share(self._params["file_share"], share_credentials(self._params)).where(
                self._params["package"]
            )
        return (
            folder
            if folder is not None
            and vm_export.is_exported(open_share(folder, share_credentials(self._params)), os.path.basename(folder))
            else None
        )

    def _await_address(self, facts: VmFacts) -> None:
        wait_for(
            self._session,
            self._vm(facts),
            ["guest.ipAddress", "guest.toolsRunningStatus"],
            lambda values: (
                bool(values.get("guest.ipAddress")) and values.get("guest.toolsRunningStatus") == "guestToolsRunning"
            ),
            self._params["wait_for_address"],
            subject=f"Waiting for VMware Tools in {facts.name} to report an address",
        )

    def _vm(self, facts: VmFacts):
        return Inventory(self._session).vm(moid=facts.moid)

    def _audit(self, action: str, **details) -> None:
        self._repository.audit.append(action, PACKAGING, self._key, comment=self._params["comment"], details=details)

    # -- words

    @staticmethod
    def _shown(facts: VmFacts | None, made_from: list[str]) -> dict | None:
        """The machine as diff mode shows it."""
        if facts is None:
            return None
        return {"machine": facts.name, "made_from": made_from, "started": facts.extra_config.get(KEY_STATE) == STARTED}

    def _recorded(self) -> list[str]:
        """The layer versions that the machine was made from, as far as the catalogue knows."""
        document = self._document
        if document is None:
            return []
        layers = [document["os_layer"], *document["prerequisites"], document["start_from"]]
        return [LayerReference.from_dict(one).label for one in layers if one is not None]

    def _action(self, facts: VmFacts) -> str:
        return (
            f"The packaging machine {facts.name} of {self._what} runs in the folder {facts.folder_path} of the datacenter {facts.datacenter}. "
            "Install what the layer is to hold, restart Windows until nothing is pending, shut it down, "
            "and run the role again, or the module with state finalized."
        )

    def _switched_off(self, facts: VmFacts) -> dict:
        """The result for a machine that is off: it can be finalized, unless it ran too shortly for anybody to have worked in it."""
        ran = None if (self._document or {}).get("finalizing") else ran_for(self._session, self._vm(facts))
        where = f"The packaging machine {facts.name} of {self._what} is switched off in the folder {facts.folder_path} of the datacenter {facts.datacenter}"
        if ran is not None and ran < self._params["minimum_run"]:
            return self._result(
                ACTION_REQUIRED,
                f"{where}, but was on for {ran:.0f} seconds in all, so that nothing can have been installed in it. Perhaps Windows shut itself down at its "
                "first start. Power it on, install what the layer is to hold, and shut it down. "
                "If it is finished all the same, lower minimum_run or run with state finalized.",
            )
        return self._result(PENDING, f"{where}. Run again with state finalized, or power it on to go on working in it.")

    def _result(self, status: str, description: str) -> dict:
        facts, document = self._facts, self._document
        machine = None
        if facts is not None:
            machine = {
                "name": facts.name,
                "moid": facts.moid,
                "instance_uuid": facts.instance_uuid,
                "path": facts.path,
                "folder": facts.folder_path,
                "datacenter": facts.datacenter,
                "power_state": facts.power_state,
                "ip_address": read(self._session, self._vm(facts), "guest.ipAddress").get("guest.ipAddress"),
            }
        result = {"status": status, "description": description, "machine": machine, "packaged_disk": None}
        if document is not None:
            result["os_layer"] = {"name": document["os_layer"]["name"], "version": document["os_layer"]["version"]}
        return result
