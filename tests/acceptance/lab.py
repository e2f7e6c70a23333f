# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflow of an application: an image becomes a prefix, an installer changes it, its disk becomes a layer and again an image."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from ...plugins.module_utils.capture.capture import CaptureResult, capture
from ...plugins.module_utils.catalog import layer_store
from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.images import os_import
from ...plugins.module_utils.images.composing.layered_image import compose_stack
from ...plugins.module_utils.images.image_files import export
from ...plugins.module_utils.images.stored.thin_image import ThinImage
from ...plugins.module_utils.layers.layer_version import APP, OS, ROLE_DISK, ROLE_GRAINS, Blob, LayerVersion
from ...plugins.module_utils.repository.repository import Repository
from . import compare, disks, wine
from .compare import Difference
from .installers import APPLICATIONS, Application
from .wine import Prefix

DISK_SIZE = 4 << 30


@dataclass
class Packaged:
    """An application as a layer, the result of its capture, the paths on C: that its installer changed, and how the
    image of this layer and its prerequisites differs from the prefix that was captured."""

    application: Application
    layer: LayerVersion
    result: CaptureResult
    touched: list[str]
    differences: list[Difference]


class AcceptanceLab:
    """A folder with a repository, an OS layer of a fresh prefix, and installers."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.home = self._path("home")
        os.mkdir(self.home)
        self.repository = Repository.open(self._path("repository"), create=True)
        self.fresh = wine.make_prefix(self._path("fresh"), self.home)
        with open(os.path.join(self.fresh.path, wine.STAMP), encoding="ascii") as stream:
            self._stamp = stream.read()
        self.base_disk = self._path("base.raw")
        disks.make_disk(self.base_disk, self.fresh, DISK_SIZE)
        self.os_layer = self._import()
        self.packaged: dict[str, Packaged] = {}
        self._installers: dict[str, str] = {}
        self._machines: dict[str, tuple[Prefix, str]] = {}

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _import(self) -> LayerVersion:
        stored = os_import.store_disk(self.repository, lambda: FileDevice(self.base_disk), "base.raw", DISK_SIZE >> 30)
        blobs = {
            role: Blob(blob.media_type, blob.digest, blob.size)
            for role, blob in ((ROLE_DISK, stored.vmdk), (ROLE_GRAINS, stored.index))
        }
        return layer_store.put_version(
            self.repository,
            LayerVersion(OS, "Wine", "1.0", size_gb=DISK_SIZE >> 30, facts=stored.examination.facts, blobs=blobs),
        )

    def installer(self, application: Application) -> str:
        """Return the path of an application's installer, which never changes, because installers record their source."""
        if application.name not in self._installers:
            folder = os.path.join(self._path("installers"), application.name)
            os.makedirs(folder)
            self._installers[application.name] = application.build(folder)
        return self._installers[application.name]

    def image(self, layers: list[LayerVersion]) -> ThinImage:
        """Compose the image of the OS layer with these layers; later layers override earlier layers."""
        return compose_stack(self.repository, self.os_layer.reference(), tuple(layer.reference() for layer in layers))

    def unpack(self, image: ThinImage, name: str) -> Prefix:
        """Return a prefix with the content of an image."""
        with image.open_disk() as disk:
            return disks.unpack(disk, self._path(name), self.home, self._stamp)

    def install(self, prefix: Prefix, application: Application) -> None:
        """Run an installer in a prefix; nothing runs in it afterwards."""
        installer = self.installer(application)
        with prefix.started():
            application.install(prefix, installer)

    def copies(self, given: ThinImage, name: str) -> tuple[Prefix, str]:
        """Return a prefix and a raw disk with the content of an image: copies, because creating them takes longer."""
        if given.content_digest not in self._machines:
            number = len(self._machines)
            prefix, disk = self.unpack(given, f"unpacked{number}"), self._path(f"unpacked{number}.raw")
            export(given, disk, "raw", name="machine", firmware="efi")
            self._machines[given.content_digest] = prefix, disk
        prefix, disk = self._machines[given.content_digest]
        copy = self._path(f"{name}.raw")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", disk, copy], check=True)
        return prefix.copy(self._path(name)), copy

    def package(self, application: Application) -> Packaged:
        """Install an application in a new prefix and capture its disk as a layer."""
        needed = [self.packaged[name].layer for name in application.needs]
        given = self.image(needed)
        prefix, disk = self.copies(given, "packaging")
        try:
            before = disks.stamps(prefix)
            self.install(prefix, application)
            touched = disks.pack(prefix, before, disk)
            layer = LayerVersion(
                APP,
                application.name,
                application.version,
                os_layer=self.os_layer.reference(),
                prerequisites=[layer.reference() for layer in needed],
            )
            result = capture(self.repository, given, lambda: FileDevice(disk), layer)
            again = self.unpack(self.image([*needed, result.layer]), "again")
            try:
                differences = compare.compare(prefix, again)
            finally:
                shutil.rmtree(again.path)
        finally:
            shutil.rmtree(prefix.path)
            os.unlink(disk)
        packaged = self.packaged[application.name] = Packaged(application, result.layer, result, touched, differences)
        return packaged

    def package_all(self) -> dict[str, Packaged]:
        """Return every application as a layer."""
        for application in APPLICATIONS:
            if application.name not in self.packaged:
                self.package(application)
        return self.packaged

    def reference(self) -> tuple[Prefix, str]:
        """Return the prefix in which all applications were installed in order, starting from the OS layer, and its disk."""
        prefix, disk = self.copies(self.image([]), "reference")
        before = disks.stamps(prefix)
        for application in APPLICATIONS:
            self.install(prefix, application)
        disks.pack(prefix, before, disk)
        return prefix, disk

    def composed(self) -> tuple[Prefix, str]:
        """Return the prefix of the image that has the layers of all applications, and its disk."""
        image = self.image([packaged.layer for packaged in self.package_all().values()])
        disk = self._path("composed.raw")
        export(image, disk, "raw", name="composed", firmware="efi")
        return self.unpack(image, "composed"), disk
