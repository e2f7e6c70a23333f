# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent clients of registries: skopeo (Debian), and oras, regctl and cosign, which make builds into .build/tools."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import subprocess

from ansible_collections.strata.layering.tests.support.registries import Login, tool


class ClientError(Exception):
    """A client failed; the text is its output."""


def _program(name: str) -> str:
    found = os.environ.get(f"STRATA_{name.upper()}") or tool(name) or shutil.which(name)
    if found is None:
        import pytest  # pylint: disable=import-outside-toplevel

        pytest.skip(f"{name} is not installed.")
    return found


class _Client:
    """A client whose configuration, with the login of one registry or of several, is in ``folder``."""

    name = ""

    def __init__(self, folder: pathlib.Path, *logins: Login) -> None:
        self.program = _program(self.name)
        self.folder = folder / f"client-{self.name}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logins = {login.address: login for login in logins}
        auths = {
            login.address: {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
            for login in logins
            if login.username
        }
        self.auth_file = self.folder / "config.json"
        self.auth_file.write_text(json.dumps({"auths": auths}))
        self.auth_file.chmod(0o600)

    def environment(self) -> dict[str, str]:
        """Return the environment of the client: it reads nothing from the home folder."""
        found = {name: value for name, value in os.environ.items() if not name.endswith(("_proxy", "_PROXY"))}
        return found | {"HOME": str(self.folder), "DOCKER_CONFIG": str(self.folder)}

    def run(self, *arguments: str, timeout: float = 300) -> str:
        """Run the client and return its output. Raises ClientError."""
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ClientError(f"{self.name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def copying(self, source: str, target: str, *options: str) -> list[str]:
        """Return the arguments that copy an artifact."""
        raise NotImplementedError

    def copy(self, source: str, target: str, *options: str) -> None:
        """Copy an artifact. Raises ClientError."""
        self.run(*self.copying(source, target, *options))

    def login_of(self, reference: str) -> Login | None:
        """Return the login of the registry in ``HOST:PORT/NAME``, or None."""
        return self.logins.get(reference.partition("/")[0])


class Skopeo(_Client):
    """skopeo: names are ``docker://HOST:PORT/NAME:TAG`` and ``oci:FOLDER:NAME``."""

    name = "skopeo"

    def copying(self, source: str, target: str, *options: str) -> list[str]:
        """Return the arguments that copy an image or artifact."""
        flags = ["--authfile", str(self.auth_file), *self._tls("src", source), *self._tls("dest", target)]
        return ["--insecure-policy", "copy", "--quiet", *flags, *options, source, target]

    def inspect(self, name: str) -> bytes:
        """Return the bytes of the manifest."""
        flags = ["--authfile", str(self.auth_file), *(flag.replace("---", "--") for flag in self._tls("", name))]
        return self.run("inspect", "--raw", *flags, name).encode()

    def _tls(self, side: str, name: str) -> list[str]:
        login = self.login_of(name.removeprefix("docker://"))
        if not name.startswith("docker://") or login is None:
            return []
        if login.ca_file is None:
            return [f"--{side}-tls-verify=false"]
        folder = self.folder / f"certificates-{login.address.replace(':', '-')}"
        folder.mkdir(exist_ok=True)
        shutil.copy(login.ca_file, folder / "ca.crt")
        return [f"--{side}-cert-dir", str(folder)]


class Oras(_Client):
    """oras: names are ``HOST:PORT/NAME:TAG``; layouts need ``--from-oci-layout`` or ``--to-oci-layout``."""

    name = "oras"

    def copying(self, source: str, target: str, *options: str) -> list[str]:
        """Return the arguments that copy an artifact; ``source`` or ``target`` may be ``oci:FOLDER:NAME``."""
        flags = ["--no-tty"]
        for name, side in ((source, "from"), (target, "to")):
            login = self.login_of(name)
            if name.startswith("oci:"):
                flags.append(f"--{side}-oci-layout")
            elif login is not None:
                flags += [f"--{side}-registry-config", str(self.auth_file)]
                flags += [f"--{side}-ca-file", str(login.ca_file)] if login.ca_file else [f"--{side}-plain-http"]
        return ["cp", *flags, *options, source.removeprefix("oci:"), target.removeprefix("oci:")]


class Regctl(_Client):
    """regctl: names are ``HOST:PORT/NAME:TAG`` and ``ocidir://FOLDER:TAG``."""

    name = "regctl"

    def __init__(self, folder: pathlib.Path, *logins: Login) -> None:
        super().__init__(folder, *logins)
        hosts = {}
        for login in logins:
            host = {"tls": "enabled" if login.ca_file else "disabled", "hostname": login.address}
            if login.ca_file:
                host["regcert"] = login.ca_file.read_text()
            if login.username:
                host |= {"user": login.username, "pass": login.password}
            hosts[login.address] = host
        self._configuration = self.folder / "regctl.json"
        self._configuration.write_text(json.dumps({"hosts": hosts}))
        self._configuration.chmod(0o600)

    def environment(self) -> dict[str, str]:
        """Return the environment of the client."""
        return super().environment() | {"REGCTL_CONFIG": str(self._configuration)}

    def copying(self, source: str, target: str, *options: str) -> list[str]:
        """Return the arguments that copy an image or artifact."""
        return ["image", "copy", *options, source, target]


class Cosign(_Client):
    """cosign, without any service on the internet."""

    name = "cosign"

    def environment(self) -> dict[str, str]:
        """Return the environment of the client."""
        found = super().environment() | {"COSIGN_PASSWORD": ""}
        authorities = [str(login.ca_file) for login in self.logins.values() if login.ca_file]
        return found | ({"SSL_CERT_FILE": authorities[0]} if authorities else {})

    def flags(self, name: str) -> list[str]:
        """Return the flags for the registry in a name."""
        login = self.login_of(name)
        return ["--allow-http-registry"] if login is not None and login.ca_file is None else []
