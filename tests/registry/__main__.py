# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a registry as a process. ``tests/support/registries.py`` does this for tests."""

from __future__ import annotations

import json
import os
import pathlib
import ssl
import sys

from .server import Servers
from .site import Site


def main() -> None:
    """Serve until standard input ends.

    The argument is JSON: folder, certificate (a PEM file with its key, or ""), settings. The answer is a line of JSON on
    standard output: host, port, url, store (URL of the object store), control (URL), pid.
    """
    given = json.loads(sys.argv[1])
    site = Site.in_folder(pathlib.Path(given["folder"]), **given["settings"])
    context = None
    if given["certificate"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given["certificate"])
    Servers(site, context).start()
    site.info["pid"] = os.getpid()
    sys.stdout.write(json.dumps(site.info) + "\n")
    sys.stdout.flush()
    # The parent never writes: the end of the input is the end of the parent.
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
