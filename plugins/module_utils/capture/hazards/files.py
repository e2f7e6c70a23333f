# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hazards that the paths of a packaging machine show, whether the layer contains them or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from ...winregistry.upcase import WINDOWS
from ..databases.system_files import SYSTEM_FILES
from ..noise.subtraction import REASON as NOISE
from .observed import Observed

#: Folders of a profile that a logon creates with links and settings in them.
_OF_LOGON = frozenset(
    ("3d objects", "contacts", "favorites", "links", "microsoftedgebackups", "onedrive", "saved games", "searches")
)
#: Folders below AppData\Local, LocalLow and Roaming that Windows itself fills.
_OF_WINDOWS = frozenset(
    (
        "microsoft",
        "packages",
        "temp",
        "connecteddevicesplatform",
        "comms",
        "d3dscache",
        "placeholdertilelogofolder",
        "publishers",
        "crashdumps",
        "peerdistrepub",
        "peerdistpub",
        "grouppolicy",
        "virtualstore",
        "microsofthelp",
        "cryptneturlcache",
        "application data",
        "history",
        "temporary internet files",
    )
)
#: Items that the first logon creates in the folders of a user.
_OF_FIRST_LOGON = frozenset(
    ("desktop.ini", "thumbs.db", "iconcache.db", "my music", "my pictures", "my videos", "microsoft edge.lnk")
)
#: The account databases. Windows may write changes only to their logs until much later.
_ACCOUNTS = re.compile(r"windows/system32/config/(sam|security)(\.log[12]?)?")
_LINKS = "appdata/roaming/microsoft/windows/start menu/"
_VOLUME_LICENSE = re.compile(r"/licenses1[0-9]/[^/]*vl[^/]*\.xrm-ms$")


class FileWatch:
    """Adds items for paths with "/" between names; call ``left_out`` and ``taken`` for each path.

    ``exists`` returns whether a path exists in the packaging machine. ``expected`` contains the folded paths that Windows
    changes by itself.
    """

    def __init__(
        self,
        observed: Observed,
        exists: Callable[[str], bool] = lambda _path: False,
        expected: Container[str] = frozenset(),
    ) -> None:
        self._observed = observed
        self._exists = exists
        self._expected = expected
        #: Whether a file of the account databases changed.
        self.accounts_touched = False

    def left_out(self, kind: str, reason: str, path: str) -> None:
        """Watch an item that a rule leaves out; ``kind`` and ``reason`` are those of ``LeftOut``."""
        if kind != "file" or reason == NOISE:
            return
        if reason in ("case", "spelling"):
            self._observed.add({"case": "names_in_case"}.get(reason, reason), path)
            return
        if reason == SYSTEM_FILES and WINDOWS.fold(path) not in self._expected:
            self._observed.add(SYSTEM_FILES, path)
        lowered = path.lower()
        self._watch(lowered, path)
        if lowered.startswith("windows/system32/catroot/") and lowered.endswith(".cat"):
            self._observed.add("catalogs", path)
        if lowered.startswith("users/") and _is_missed(lowered) and not self._is_of_new_user(path):
            self._observed.add("user_profiles", path)

    def taken(self, path: str) -> None:
        """Watch a path that the layer contains."""
        lowered = path.lower()
        self._watch(lowered, path)
        if lowered.startswith("windows/registration/r") and lowered.endswith(".clb"):
            self._observed.add("com_plus", path)
        if lowered.startswith("windows/assembly/nativeimages"):
            self._observed.add("native_images", path)

    def _is_of_new_user(self, path: str) -> bool:
        """Return whether Windows copied a file from the default profile when the user logged on for the first time."""
        return self._exists("/".join(("Users", "Default", *path.split("/")[2:])))

    def _watch(self, lowered: str, path: str) -> None:
        names = path.split("/")
        self.accounts_touched |= _ACCOUNTS.fullmatch(lowered) is not None
        if lowered.endswith((".mof", ".mfl")):
            self._observed.add("wmi_repository", path)
        elif lowered.startswith("windows/system32/driverstore/filerepository/") and lowered.endswith(".inf"):
            self._observed.add("driver_store", names[4])
        elif lowered.startswith("windows/servicing/packages/") and lowered.endswith(".mum"):
            self._observed.add("servicing", names[3][:-4])
        elif lowered.startswith("program files/windowsapps/") and lowered.endswith("/appxmanifest.xml"):
            self._observed.add("store_apps", names[2])
        elif _VOLUME_LICENSE.search(lowered):
            self._observed.add("activation", path)


def _is_missed(lowered: str) -> bool:
    """Return whether an item below a user's profile is of the user or of a program, not of Windows."""
    names = lowered.split("/")
    if names[-1] in _OF_FIRST_LOGON:
        return False
    if len(names) == 3:
        return "." in names[2][1:] and not names[2].startswith("ntuser")
    if len(names) > 3 and names[2] != "appdata":
        return names[2] not in _OF_LOGON and not names[2].startswith(".")
    if "/".join(names[2:]).startswith(_LINKS):
        return names[-1].endswith(".lnk")
    return len(names) > 5 and names[4] not in _OF_WINDOWS
