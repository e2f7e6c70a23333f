# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths on the composer as administrators write them by mistake, and the user that needs access to them."""

from __future__ import annotations

import getpass
import os
import pwd
import re

#: The prefix of temporary files. A killed process leaves them behind; the garbage collection of the repository
#: removes those that are older than its grace time.
TEMPORARY_PREFIX = ".strata-tmp-"

_WINDOWS = re.compile(r"[A-Za-z]:([\\/]|$)|\\")


def is_windows_path(path: str) -> bool:
    r"""Return whether ``path`` has the form of a path in Windows: it begins with a drive or a backslash."""
    return _WINDOWS.match(path) is not None


def path_hint(path: str, option: str) -> str:
    """Return what is wrong with the form of a path that does not exist, as the beginning of a hint; "" if nothing is.

    ``option`` is the option with the path.
    """
    if is_windows_path(path):
        return (
            f"'{path}' is a path in Windows, but {option} is a path on the composer (Linux): "
            "mount the share there, and write the path of the mount. "
        )
    if re.match("//[^/]", path):
        return f"{option} is not read from an SMB server: mount the share on the composer, and write the path of the mount. "
    if path and not os.path.isabs(path):
        return (
            f"'{path}' is relative to the working directory of the module, {_working_directory()}: "
            f"write an absolute path, such as {{{{ playbook_dir }}}}/{path}. "
        )
    return ""


def login_name() -> str:
    """Return the name of the user that runs the module, or its number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def current_user() -> str:
    """Return the name and the number of the user that runs the module, such as ``ansible (uid 1000)``."""
    number = os.geteuid()
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:
        return f"with the uid {number}"


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "which does not exist"
