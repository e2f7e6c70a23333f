# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the package vsphere: a simulator, a session, VMs and disks."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience, Session
from ansible_collections.strata.layering.tests.support import simulator_fixtures
from ansible_collections.strata.layering.tests.support.connect_proxy import ConnectProxy
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm
from ansible_collections.strata.layering.tests.support.simulator import Simulator

simulator = simulator_fixtures.simulator
CAPACITY = 64 << 20


class Disk:
    """A stream-optimized VMDK of 64 MiB with 5 MiB of noise."""

    def __init__(self, path):
        self.path = path
        self.capacity = CAPACITY
        self.length = os.path.getsize(path)

    def blocks(self):
        with open(self.path, "rb") as stream:
            while block := stream.read(65536):
                yield block

    def bytes(self):
        with open(self.path, "rb") as stream:
            return stream.read()


def make_disk(folder, name="disk", noise=5 << 20):
    raw, path = folder / f"{name}.raw", folder / f"{name}.vmdk"
    with open(raw, "wb") as out:
        out.truncate(CAPACITY)
        out.seek(1 << 20)
        out.write(os.urandom(noise))
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, path], check=True)
    raw.unlink()
    return Disk(path)


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    return make_disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def other_disk(tmp_path):
    return make_disk(tmp_path, "other", 2 << 20)


@pytest.fixture
def connect():
    """Logs in to a simulator; ``changes`` override options."""

    def log_in(simulator, **changes):
        options = {
            "hostname": simulator.host,
            "username": simulator.username,
            "password": simulator.password,
            "port": simulator.port,
        }
        return Session.connect(**options | {"ca_file": simulator.ca_file} | changes)

    return log_in


@pytest.fixture
def session(simulator, connect):
    with connect(simulator, patience=Patience(calls=20)) as found:
        yield found


@pytest.fixture
def host_simulator():
    """A simulator whose ESXi hosts have a certificate that the CA file for vCenter does not cover."""
    with Simulator(separate_host=True) as running:
        yield running


@pytest.fixture
def placement(session):
    return find_placement(session)


def find_placement(session, folder="desktops", datastore="LocalDS_0"):
    return Inventory(session).placement(
        datacenter="DC0", cluster="DC0_C0", datastore=datastore, folder=folder, network="VM Network", create_folder=True
    )


@pytest.fixture
def make_machine(session, disk):
    def make(name, folder="desktops", datastore="LocalDS_0"):
        return deploy_vm(
            session,
            find_placement(session, folder, datastore),
            name=name,
            hardware=Hardware(),
            capacity=disk.capacity,
            blocks=disk.blocks,
            length=disk.length,
        ).vm

    return make


@pytest.fixture
def machine(make_machine):
    return make_machine("desktop")


@pytest.fixture
def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    return port


@pytest.fixture
def web_server(tmp_path):
    """Ports of web servers without and with TLS, which are not a vCenter."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=web",
            "-keyout",
            tmp_path / "key",
            "-out",
            tmp_path / "cert",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) for unused in range(2)]
    servers[1].socket = context.wrap_socket(servers[1].socket, server_side=True)
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    yield [server.server_address[1] for server in servers]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>A web server</html>")

    def log_message(self, *unused):
        pass


@pytest.fixture
def proxy():
    """An HTTP proxy for CONNECT: yields its port and the list of targets that it was asked for."""
    with ConnectProxy() as running:
        yield running.port, running.targets
