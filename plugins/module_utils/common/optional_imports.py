# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import third-party libraries that may be missing.

A missing library is replaced by an object whose first use raises ``MissingLibrary``. Every module can
therefore be imported, documented and argument-checked on a host that is not a composer.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import types
from typing import TYPE_CHECKING, Any

from .errors import MissingLibrary

#: The libraries of requirements.txt, by the name under which they are imported.
REQUIREMENTS = {
    "blake3": "blake3>=1.0",
    "cryptography": "cryptography>=38.0",
    "isal": "isal>=1.7.0",
    "numpy": "numpy>=1.26",
    "pyVmomi": "pyvmomi>=8.0.3.0.1",
    "smbprotocol": "smbprotocol>=1.14",
    "requests": "requests>=2.31",
    "zstandard": "zstandard>=0.22",
}


class _Absent:
    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        raise _missing(self._package)


def _missing(package: str) -> MissingLibrary:
    """Return the error for a missing library. It names all missing libraries, for a single command that installs them."""
    absent = {requirement for name, requirement in REQUIREMENTS.items() if importlib.util.find_spec(name) is None}
    known = {re.split("[<>=]", requirement)[0]: requirement for requirement in REQUIREMENTS.values()}
    absent.add(known.get(package, package))
    arguments = " ".join(f"'{requirement}'" for requirement in sorted(absent))
    names = sorted(re.split("[<>=]", requirement)[0] for requirement in absent)
    if externally_managed():
        hint = (
            f"{sys.executable} is externally managed (PEP 668): pip must not install into it. Prepare the host with the role"
            " strata.layering.composer, which creates a virtual environment (composer_virtualenv). Without the role, set"
            " ansible_python_interpreter of this host to FOLDER/bin/python after these commands:"
            f" {sys.executable} -m venv FOLDER; FOLDER/bin/python -m pip install {arguments}"
        )
    else:
        hint = (
            "Prepare the host with the role strata.layering.composer, set ansible_python_interpreter to a Python that has the"
            f" libraries, or run: {sys.executable} -m pip install {arguments}"
        )
    return MissingLibrary(
        f"{sys.executable}, which runs this module, lacks Python libraries: {', '.join(names)}.",
        code="common.missing_library",
        hint=hint,
        library=package,
        libraries=names,
    )


def externally_managed() -> bool:
    """Return whether packages of the system manage this Python, so that pip refuses to install into it (PEP 668)."""
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and os.path.exists(marker)


def _optional(module: str, package: str) -> types.ModuleType | _Absent:
    try:
        return importlib.import_module(module)
    except ImportError:
        return _Absent(package)


class _Deferred:
    """A library that is slow to import and seldom needed: it is imported at its first use."""

    def __init__(self, module: str, package: str) -> None:
        self._names = module, package

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        library = _optional(*self._names)
        value = getattr(library, name)
        if not isinstance(library, _Absent):
            setattr(self, name, value)
        return value


def _import_numpy() -> types.ModuleType | _Absent:
    """Import numpy without the threads of OpenBLAS.

    The engine does not need them; each thread costs time at every start and is a risk for processes that fork.
    """
    if "OPENBLAS_NUM_THREADS" in os.environ:
        return _optional("numpy", "numpy")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        return _optional("numpy", "numpy")
    finally:
        del os.environ["OPENBLAS_NUM_THREADS"]


__all__ = (
    "blake3",
    "crypto_ec",
    "crypto_errors",
    "crypto_hashes",
    "crypto_serialization",
    "isal_zlib",
    "np",
    "pyvmomi",
    "requests",
    "smb_connection",
    "smb_errors",
    "smb_open",
    "smb_session",
    "smb_tree",
    "urllib3",
    "zstandard",
)

#: The libraries by the name under which this module offers them: the module to import and its package.
_LIBRARIES = {
    "blake3": ("blake3", "blake3"),
    "isal_zlib": ("isal.isal_zlib", "isal"),
    "zstandard": ("zstandard", "zstandard"),
}
#: Libraries that are seldom needed although a module of the engine names them.
_DEFERRED = {
    "crypto_ec": ("cryptography.hazmat.primitives.asymmetric.ec", "cryptography"),
    "crypto_errors": ("cryptography.exceptions", "cryptography"),
    "crypto_hashes": ("cryptography.hazmat.primitives.hashes", "cryptography"),
    "crypto_serialization": ("cryptography.hazmat.primitives.serialization", "cryptography"),
    "pyvmomi": ("pyVmomi", "pyvmomi"),
    "requests": ("requests", "requests"),
    "smb_connection": ("smbprotocol.connection", "smbprotocol"),
    "smb_errors": ("smbprotocol.exceptions", "smbprotocol"),
    "smb_open": ("smbprotocol.open", "smbprotocol"),
    "smb_session": ("smbprotocol.session", "smbprotocol"),
    "smb_tree": ("smbprotocol.tree", "smbprotocol"),
    # requests requires it.
    "urllib3": ("urllib3", "requests"),
}

if TYPE_CHECKING:
    import blake3
    import numpy as np
    import requests
    import urllib3
    import zstandard
    from cryptography import exceptions as crypto_errors
    from cryptography.hazmat.primitives import hashes as crypto_hashes
    from cryptography.hazmat.primitives import serialization as crypto_serialization
    from cryptography.hazmat.primitives.asymmetric import ec as crypto_ec
    from isal import isal_zlib
    from smbprotocol import connection as smb_connection
    from smbprotocol import exceptions as smb_errors
    from smbprotocol import open as smb_open
    from smbprotocol import session as smb_session
    from smbprotocol import tree as smb_tree

    # pyVmomi creates its modules and types at run time: there is nothing to check them against.
    pyvmomi: Any
else:

    def __getattr__(name: str) -> Any:
        """Import a library when another module imports its name: numpy alone takes a tenth of a second."""
        if name == "np":
            library = _import_numpy()
        elif name in _LIBRARIES:
            library = _optional(*_LIBRARIES[name])
        elif name in _DEFERRED:
            library = _Deferred(*_DEFERRED[name])
        else:
            raise AttributeError(name)
        globals()[name] = library
        return library
