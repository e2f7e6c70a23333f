# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a simulated Connection Server. ``tests/support/horizon_simulator.py`` does this for tests."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import tempfile
import threading

from ansible_collections.strata.layering.tests.simulator_horizon.api import PREFIX, Api
from ansible_collections.strata.layering.tests.simulator_horizon.certificate import self_signed
from ansible_collections.strata.layering.tests.simulator_horizon.contract import Contract
from ansible_collections.strata.layering.tests.simulator_horizon.control import Control
from ansible_collections.strata.layering.tests.simulator_horizon.pod import Pod
from ansible_collections.strata.layering.tests.simulator_horizon.rules import Rules
from ansible_collections.strata.layering.tests.simulator_horizon.server import Server
from ansible_collections.strata.layering.tests.simulator_horizon.tokens import User

CONFIGURATION = "STRATA_HORIZON_SIMULATOR"


def main() -> None:
    """Serve until standard input ends, a signal arrives, or the time is over.

    The environment variable ``STRATA_HORIZON_SIMULATOR`` has the configuration as JSON: contract, pod, federated, speed,
    domain, username, password, vcenters (server_name, control), detached, end_after (seconds).
    """
    given = json.loads(os.environ.pop(CONFIGURATION))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_arguments: ended.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pod = Pod(given["contract"], given["pod"], federated=given["federated"], speed=given["speed"])
    pod.tokens.users.append(User(given["domain"], given["username"], given["password"]))
    for vcenter in given["vcenters"]:
        pod.add_vcenter(vcenter["server_name"], vcenter["control"])
    api, rules = Api(pod, Contract.load(given["contract"])), Rules()
    with tempfile.TemporaryDirectory(prefix="strata-horizon-") as folder:
        public, context = self_signed(pathlib.Path(folder), "simulated Connection Server", ["localhost"])
        control = Control(api, rules)
        server = Server(api, control, rules, context)
        info = {"host": "127.0.0.1", "port": server.server_address[1], "ca_file": str(public), "pid": os.getpid()}
        info |= {"url": f"https://127.0.0.1:{info['port']}{PREFIX}", "cluster_guid": pod.cluster_guid, "pod": pod.name}
        info["control"] = control.url
        control.info = info
        control.start()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(json.dumps(info) + "\n")
        sys.stdout.flush()
        if given["detached"]:
            ended.wait(given["end_after"])
        else:
            threading.Thread(target=_watch_input, args=(ended,), daemon=True).start()
            ended.wait()


def _watch_input(ended: threading.Event) -> None:
    # The parent never writes: the end of the input is the end of the parent.
    sys.stdin.buffer.read()
    ended.set()


if __name__ == "__main__":
    main()
