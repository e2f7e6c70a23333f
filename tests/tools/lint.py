# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of the collection, two at a time, each in a clean copy of the checkout.

    lint.py [CHECK...]    names of checks, or their beginnings: "sanity" selects sanity-oldest and sanity-newest
    lint.py --list

ansible-test requires a folder ansible_collections/strata/layering that is not a symbolic link, and writes into it;
hence the copies. All output goes to .build/lint and .cache; only Go uses its usual caches.
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
# Progress messages of the tools, which the report of a failure leaves out.
PROGRESS = re.compile(
    r"^(Running sanity test|Installing requirements|Using cached pip|See documentation for help|WARNING: Using locale).*\n",
    re.MULTILINE,
)


class Skipped(Exception):
    """The check cannot run here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The clean copy of the checkout in which a check runs."""

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
        """Copy the files that git tracks or would add."""
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
            with contextlib.suppress(FileNotFoundError):  # deleted, but still in the index
                shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
        # Without its own repository, the copy would belong to the checkout's repository, which ignores it.
        subprocess.run(["git", "init", "--quiet"], cwd=self.collection, check=True)

    def run(self, *command: object, environment: pathlib.Path = NEWEST, folder: pathlib.Path | None = None) -> str:
        """Run a command in the copy and return its output, which is also written to the log. Raises CalledProcessError."""
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
        # The shims of a Python version manager fail if no version is selected, and ansible-test tries them.
        path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if not part.endswith("/shims")]
        real = pathlib.Path(os.path.realpath(environment / "bin" / "python")).parent
        variables["PATH"] = os.pathsep.join([str(environment / "bin"), str(real), *path])
        variables["HOME"] = str(home(environment))
        variables["ANSIBLE_COLLECTIONS_PATH"] = str(self.collections)
        variables["NO_COLOR"] = "1"
        return variables


@functools.cache
def home(environment: pathlib.Path) -> pathlib.Path:
    """Create a home folder for the tools, with pip's settings, which ansible-test does not pass on, and a replacement for its get-pip."""
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
    """Return the versions of Python ("3.11") and of ansible-core ("2.19.14") in a virtual environment."""
    script = "import sys, ansible.release; print('%d.%d' % sys.version_info[:2], ansible.release.__version__)"
    python, core = _print_by(environment, "-c", script).split()
    return python, core


def _sanity(workspace: Workspace, environment: pathlib.Path) -> None:
    output = workspace.run(
        "ansible-test", "sanity", "--color", "no", "--python", versions(environment)[0], environment=environment
    )
    if "All targets skipped" in output:
        raise subprocess.CalledProcessError(1, "ansible-test")


def sanity_oldest(workspace: Workspace) -> None:
    """ansible-test sanity with the oldest supported ansible-core."""
    _sanity(workspace, OLDEST)


def sanity_newest(workspace: Workspace) -> None:
    """ansible-test sanity with the newest ansible-core."""
    if versions(NEWEST)[1].startswith("2.19."):
        raise Skipped("the newest ansible-core needs Python 3.12 or newer, which is not installed")
    _sanity(workspace, NEWEST)


def ansible_lint(workspace: Workspace) -> None:
    """ansible-lint with the profile production; it reads the modules of the collection's dependencies."""
    paths = f"ANSIBLE_COLLECTIONS_PATH={workspace.collections}:{CHECKOUT / '.build' / 'collections'}"
    workspace.run("env", paths, "ansible-lint", "--offline", "--nocolor", "--strict", "--profile", "production")


def galaxy_importer(workspace: Workspace) -> None:
    """Build the collection as for Galaxy and import it."""
    workspace.run("ansible-galaxy", "collection", "build", "--output-path", workspace.collections)
    artifact = next(workspace.collections.glob("strata-layering-*.tar.gz"))
    output = workspace.run(
        "env",
        "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS=true",
        # The check ansible-lint does the same without the importer's time limit, which a busy computer exceeds.
        "GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false",
        NEWEST / "bin" / "python",
        "-m",
        "galaxy_importer.main",
        artifact,
        folder=workspace.collections,
    )
    # The importer succeeds in spite of warnings, which Galaxy displays in the import log.
    if re.search(r"^(WARNING|ERROR)", output, re.MULTILINE):
        raise subprocess.CalledProcessError(1, "galaxy_importer")


def docs(workspace: Workspace) -> None:
    """antsibull-docs: documentation of plugins and roles."""
    workspace.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", ".")


def changelog(workspace: Workspace) -> None:
    """antsibull-changelog: fragments and changelog."""
    workspace.run("antsibull-changelog", "lint")
    workspace.run("antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml")


def ruff(workspace: Workspace) -> None:
    """ruff over all Python files."""
    workspace.run("ruff", "check", "--no-cache", "--quiet", "--output-format", "concise", ".")


def formatting(workspace: Workspace) -> None:
    """ruff format: all Python files have the project's format."""
    workspace.run("ruff", "format", "--no-cache", "--quiet", "--check", ".")


def language(workspace: Workspace) -> None:
    """Text and identifiers avoid the phrases of tests/tools/language.toml."""
    workspace.run("python", "tests/tools/language.py")


def errors(workspace: Workspace) -> None:
    """Every error has a code that begins with its package, and docs/errors.md is up to date."""
    workspace.run("python", "tests/tools/errors.py")


def mypy(workspace: Workspace) -> None:
    """Run mypy over plugins, tests.support and tests.simulator_horizon."""
    packages = [
        f"--package=ansible_collections.strata.layering.{name}"
        for name in ("plugins", "tests.support", "tests.simulator_horizon")
    ]
    options = ["--config-file", workspace.collection / "pyproject.toml", "--cache-dir", CHECKOUT / ".cache" / "mypy"]
    workspace.run("mypy", *options, *packages, folder=workspace.collections)


def execution_environment(workspace: Workspace) -> None:
    """ansible-builder reads the requirements of the collection, and the definition of the execution environment in docs."""
    output = workspace.run("ansible-builder", "introspect", workspace.collections)
    if len(re.findall(r"^(?:python|system):\n- ", output, re.MULTILINE)) != 2:
        raise subprocess.CalledProcessError(1, "ansible-builder")
    workspace.run(
        "ansible-builder",
        "create",
        "--file",
        "docs/execution-environment.yml",
        "--context",
        workspace.collections / "context",
    )


def go(workspace: Workspace) -> None:
    """gofmt, go vet and go test over the simulator, with the Go that builds it."""
    script = (
        "import sys; from ansible_collections.strata.layering.tests.support.simulator import run_go; "
        "done = run_go(*sys.argv[1:]); sys.stdout.write(done.stdout + done.stderr); sys.exit(done.returncode)"
    )

    def run(*arguments: str) -> str:
        # The build of the simulator has filled the caches in the user's home.
        variables = (f"HOME={os.environ.get('HOME', '')}", f"PYTHONPATH={workspace.collections}")
        return workspace.run("env", *variables, "python", "-c", script, *arguments, environment=OLDEST)

    gofmt = pathlib.Path(run("env", "GOROOT").strip()) / "bin" / "gofmt"
    if workspace.run(gofmt, "-l", "tests/simulator"):
        raise subprocess.CalledProcessError(1, "gofmt")
    run("vet", "./...")
    run("test", "./...")


CHECKS: dict[str, typing.Callable[[Workspace], None]] = {
    # The longest checks start first, so that the two workers end at the same time.
    "sanity-newest": sanity_newest,
    "sanity-oldest": sanity_oldest,
    "galaxy-importer": galaxy_importer,
    "ansible-lint": ansible_lint,
    "mypy": mypy,
    "go": go,
    "docs": docs,
    "changelog": changelog,
    "execution-environment": execution_environment,
    "ruff": ruff,
    "format": formatting,
    "language": language,
    "errors": errors,
}


def perform(name: str) -> bool:
    """Run one check and report its result."""
    workspace = Workspace(name)
    start = time.monotonic()
    workspace.log.unlink(missing_ok=True)
    try:
        workspace.fill()
        CHECKS[name](workspace)
        outcome, detail = "ok", ""
    except Skipped as reason:
        outcome, detail = "skipped", f": {reason}"
    except (OSError, subprocess.SubprocessError) as error:
        outcome = "FAILED"
        detail = (
            f"\n{PROGRESS.sub('', workspace.log.read_text(encoding='utf-8', errors='replace'))}{error}"
            if workspace.log.exists()
            else f": {error}"
        )
    sys.stdout.write(f"lint: {name:<22} {time.monotonic() - start:5.0f} s  {outcome}{detail}\n")
    sys.stdout.flush()
    return outcome != "FAILED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the checks")
    parser.add_argument("check", nargs="*")
    options = parser.parse_args()
    if options.list:
        sys.stdout.writelines(f"{name:<22} {check.__doc__}\n" for name, check in CHECKS.items())
        return 0
    chosen = [name for name in CHECKS if not options.check or name.startswith(tuple(options.check))]
    if not chosen:
        parser.error(f"There is no check {' '.join(options.check)}; --list lists the checks.")
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
