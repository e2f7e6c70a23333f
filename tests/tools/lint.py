# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the checks of the collection, two at a time, each in a clean copy of the checkout.

    lint.py [CHECK...]    a check's name or the beginning of it: "sanity" stands for sanity-oldest and sanity-newest
    lint.py --list

ansible-test wants a folder ansible_collections/strata/layering that is not a symbolic link and writes into it;
hence the copies. Everything lands in .build/lint and .cache/home; only Go keeps its caches where it always does.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import configparser
import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import typing

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
OUTPUT = CHECKOUT / ".build" / "lint"
HOME = CHECKOUT / ".cache" / "home"
NEWEST = CHECKOUT / ".venv-newest"
OLDEST = CHECKOUT / ".venv"
LIMIT = 30 * 60
# What the tools say of their progress is of no use beside a failure.
PROGRESS = re.compile(
    r"^(Running sanity test|Installing requirements|Using cached pip|See documentation for help|WARNING: Using locale).*\n",
    re.MULTILINE,
)


class Skipped(Exception):
    """The check cannot run here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Place:
    """The clean copy that one check works in."""

    check: str

    @property
    def collections(self) -> pathlib.Path:
        return OUTPUT / self.check

    @property
    def collection(self) -> pathlib.Path:
        return self.collections / "ansible_collections" / "strata" / "layering"

    @property
    def log(self) -> pathlib.Path:
        return OUTPUT / f"{self.check}.txt"

    def fill(self) -> None:
        """Copy what git knows or would add."""
        shutil.rmtree(self.collections, ignore_errors=True)
        names = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
        ).stdout
        for name in filter(None, os.fsdecode(names).split("\0")):
            target = self.collection / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # deleted, but not yet in the index
                shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
        # Without a repository of its own the copy would belong to the checkout's, which ignores it.
        subprocess.run(["git", "init", "--quiet"], cwd=self.collection, check=True)

    def run(self, *command: object, environment: pathlib.Path = NEWEST, folder: pathlib.Path | None = None) -> str:
        """Run one command in the copy; its output goes to the log. Raises CalledProcessError."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(map(str, command))}\n")
            log.flush()
            start = log.tell()
            subprocess.run(
                list(map(str, command)),
                cwd=folder or self.collection,
                env=self.variables(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=True,
            )
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(start)
            return log.read()

    def variables(self, environment: pathlib.Path) -> dict[str, str]:
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "PYTHON", "MAKE", "VIRTUAL_ENV"))
        }
        # The shims of a Python version manager fail while no version is chosen, and ansible-test tries them.
        path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if not part.endswith("/shims")]
        real = pathlib.Path(os.path.realpath(environment / "bin" / "python")).parent
        variables["PATH"] = os.pathsep.join([str(environment / "bin"), str(real), *path])
        variables["HOME"] = str(home(environment))
        variables["ANSIBLE_COLLECTIONS_PATH"] = str(self.collections)
        variables["NO_COLOR"] = "1"
        return variables


@functools.cache
def home(environment: pathlib.Path) -> pathlib.Path:
    """A home folder for the tools: with pip's settings, which ansible-test does not hand on, and a stand-in for its get-pip."""
    folder = HOME / environment.name.lstrip(".")
    settings = configparser.RawConfigParser()
    for line in _print_by(environment, "-m", "pip", "config", "list").splitlines():
        name, value = line.split("=", 1)
        if "." not in name or name.endswith(".config-file"):
            continue
        section, option = name.replace(":env:", "global", 1).split(".", 1)
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, option, str(ast.literal_eval(value)).replace("\n", "\n    "))
    if not settings.has_section("install"):
        settings.add_section("install")
    settings.set("install", "quiet", "1")
    (folder / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    with (folder / ".config" / "pip" / "pip.conf").open("w", encoding="utf-8") as file:
        settings.write(file)
    cache = folder / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    package = pathlib.Path(_print_by(environment, "-c", "import ansible_test; print(ansible_test.__path__[0])"))
    source = (package / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
    for version in set(re.findall(r"\bpip='([\d.]+)'", source)):
        shutil.copy(CHECKOUT / "tests" / "tools" / "get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")
    return folder


def _print_by(environment: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(
        [environment / "bin" / "python", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@functools.cache
def versions(environment: pathlib.Path) -> tuple[str, str]:
    """The versions of Python ("3.11") and of ansible-core ("2.19.14") of a virtual environment."""
    script = "import sys, ansible.release; print('%d.%d' % sys.version_info[:2], ansible.release.__version__)"
    python, core = _print_by(environment, "-c", script).split()
    return python, core


def _sanity(place: Place, environment: pathlib.Path) -> None:
    output = place.run(
        "ansible-test", "sanity", "--color", "no", "--python", versions(environment)[0], environment=environment
    )
    if "All targets skipped" in output:
        raise subprocess.CalledProcessError(1, "ansible-test")


def sanity_oldest(place: Place) -> None:
    """ansible-test sanity with the oldest supported ansible-core."""
    _sanity(place, OLDEST)


def sanity_newest(place: Place) -> None:
    """ansible-test sanity with the newest ansible-core."""
    if versions(NEWEST)[1].startswith("2.19."):
        raise Skipped("no Python 3.12 or newer, which the newest ansible-core wants")
    _sanity(place, NEWEST)


def ansible_lint(place: Place) -> None:
    """ansible-lint with the profile production; it reads the modules of the collections that this one depends on."""
    paths = f"ANSIBLE_COLLECTIONS_PATH={place.collections}:{CHECKOUT / '.build' / 'collections'}"
    place.run("env", paths, "ansible-lint", "--offline", "--nocolor", "--strict", "--profile", "production")


def galaxy_importer(place: Place) -> None:
    """Build the collection as for Galaxy and import it."""
    place.run("ansible-galaxy", "collection", "build", "--output-path", place.collections)
    artifact = next(place.collections.glob("strata-layering-*.tar.gz"))
    output = place.run(
        "env",
        "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS=true",
        # The check ansible-lint does the same without the importer's time limit, which a busy computer exceeds.
        "GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false",
        NEWEST / "bin" / "python",
        "-m",
        "galaxy_importer.main",
        artifact,
        folder=place.collections,
    )
    # The importer goes on after what Galaxy only shows to the reader of the import log.
    if re.search(r"^(WARNING|ERROR)", output, re.MULTILINE):
        raise subprocess.CalledProcessError(1, "galaxy_importer")


def docs(place: Place) -> None:
    """antsibull-docs: documentation of plugins and roles."""
    place.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", ".")


def changelog(place: Place) -> None:
    """antsibull-changelog: fragments and changelog."""
    place.run("antsibull-changelog", "lint")
    place.run("antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml")


def ruff(place: Place) -> None:
    """ruff over all Python files."""
    place.run("ruff", "check", "--no-cache", "--quiet", "--output-format", "concise", ".")


def execution_environment(place: Place) -> None:
    """ansible-builder reads the requirements of the execution environment."""
    output = place.run("ansible-builder", "introspect", place.collections)
    if len(re.findall(r"^(?:python|system):\n- ", output, re.MULTILINE)) != 2:
        raise subprocess.CalledProcessError(1, "ansible-builder")


def go(place: Place) -> None:
    """gofmt, go vet and go test over the simulator, with the Go that builds it."""
    script = (
        "import sys; from ansible_collections.strata.layering.tests.support.simulator import run_go; "
        "done = run_go(*sys.argv[1:]); sys.stdout.write(done.stdout + done.stderr); sys.exit(done.returncode)"
    )

    def run(*arguments: str) -> str:
        # In the user's own home are the caches that the build of the simulator fills.
        variables = (f"HOME={os.environ.get('HOME', '')}", f"PYTHONPATH={place.collections}")
        return place.run("env", *variables, "python", "-c", script, *arguments, environment=OLDEST)

    gofmt = pathlib.Path(run("env", "GOROOT").strip()) / "bin" / "gofmt"
    if place.run(gofmt, "-l", "tests/simulator"):
        raise subprocess.CalledProcessError(1, "gofmt")
    run("vet", "./...")
    run("test", "./...")


CHECKS: dict[str, typing.Callable[[Place], None]] = {
    # The longest first, so that two workers end together.
    "sanity-newest": sanity_newest,
    "sanity-oldest": sanity_oldest,
    "galaxy-importer": galaxy_importer,
    "ansible-lint": ansible_lint,
    "go": go,
    "docs": docs,
    "changelog": changelog,
    "execution-environment": execution_environment,
    "ruff": ruff,
}


def perform(name: str) -> bool:
    """Run one check and say how it ended."""
    place = Place(name)
    start = time.monotonic()
    place.log.unlink(missing_ok=True)
    try:
        place.fill()
        CHECKS[name](place)
        outcome, detail = "ok", ""
    except Skipped as reason:
        outcome, detail = "skipped", f": {reason}"
    except (OSError, subprocess.SubprocessError) as error:
        outcome = "FAILED"
        detail = (
            f"\n{PROGRESS.sub('', place.log.read_text(encoding='utf-8', errors='replace'))}{error}"
            if place.log.exists()
            else f": {error}"
        )
    sys.stdout.write(f"lint: {name:<22} {time.monotonic() - start:5.0f} s  {outcome}{detail}\n")
    sys.stdout.flush()
    return outcome != "FAILED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="say what checks there are")
    parser.add_argument("check", nargs="*")
    options = parser.parse_args()
    if options.list:
        sys.stdout.writelines(f"{name:<22} {check.__doc__}\n" for name, check in CHECKS.items())
        return 0
    chosen = [name for name in CHECKS if not options.check or name.startswith(tuple(options.check))]
    if not chosen:
        parser.error(f"there is no check {' '.join(options.check)}; --list names them")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for environment in (NEWEST, OLDEST):
        sys.stdout.write(
            "lint: {0} has Python {1[0]} and ansible-core {1[1]}\n".format(environment.name, versions(environment))
        )
        home(environment)
    sys.stdout.flush()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return 0 if all(list(pool.map(perform, chosen))) else 1


if __name__ == "__main__":
    sys.exit(main())
