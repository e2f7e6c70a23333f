# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the Python that runs a module.

Modules import this file, ``errors``, ``arguments`` and ``module_runner`` before anything else. These files run with
every Python that Ansible supports on a host (3.8 and newer), so that an old Python is reported as such.
"""

from __future__ import annotations

import os
import platform
import sys

from .errors import Unsupported

#: The oldest Python that runs the modules.
MINIMUM = (3, 11)
#: Minor versions and folders in which a newer Python is looked up for the hint.
_NEWER, _FOLDERS = range(19, MINIMUM[1] - 1, -1), ("/usr/bin", "/usr/local/bin")


def require_python() -> None:
    """Check that this Python is new enough.

    Raises:
        Unsupported common.python_version: it is older than MINIMUM.
    """
    if sys.version_info[:2] >= MINIMUM:
        return
    minimum = ".".join(str(part) for part in MINIMUM)
    found = platform.python_version()
    newer = installed_python()
    raise Unsupported(
        f"This module needs Python {minimum} or newer; {sys.executable} on {platform.node()} is Python {found}.",
        code="common.python_version",
        hint=(
            f"Set ansible_python_interpreter of this host to {newer}."
            if newer
            else f"Install Python {minimum} or newer (RHEL 9: the package python3.12) and set ansible_python_interpreter of this host to its path."
        )
        + " The role strata.layering.composer installs the libraries for it.",
        python=sys.executable,
        found=found,
        needed=minimum,
    )


def installed_python() -> str | None:
    """Return the path of the newest installed Python that runs the modules, None if there is none in the usual folders."""
    for minor in _NEWER:
        for folder in _FOLDERS:
            path = f"{folder}/python3.{minor}"
            if os.access(path, os.X_OK):
                return path
    return None
