# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the text and the identifiers of the collection against the word list in language.toml.

    language.py [PATH...]    files or folders of the checkout; all files that git knows by default

Prints ``file:line: "phrase": write ...`` for every hit and returns 1 if there is any.
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import os
import pathlib
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_LIST = pathlib.Path(__file__).with_suffix(".toml")
_TEXT = {
    ".md",
    ".yml",
    ".yaml",
    ".j2",
    ".cmd",
    ".ps1",
    ".sh",
    ".go",
    ".toml",
    ".svg",
    ".cfg",
    ".ini",
    ".html",
    ".js",
    ".css",
}
_NAMES = {"Makefile", "run"}
#: The list itself, texts of other authors, and files that a tool writes.
_SKIPPED = (
    "LICENSE",
    "docs/errors.md",
    "tests/tools/language.*",
    "tests/unit/tools/test_language.py",
    "tests/tools/former_codes.toml",
    "changelogs/*",
    "CHANGELOG.rst",
    "*/testdata/*",
    "*/data/*",
)


class Checker:
    """The word list, compiled."""

    def __init__(self, source: pathlib.Path = _LIST) -> None:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
        # A phrase may continue on the next line, behind the sign of a comment.
        between = r"(?:\s|[#>*/;|])+"
        self._phrases = [
            (re.compile(rule["pattern"].replace(" ", between), re.IGNORECASE), rule["avoid"], rule["write"])
            for rule in data["words"]
        ]
        self._whole = frozenset(data["identifiers"]["whole"])
        self._parts = frozenset(data["identifiers"]["parts"])
        self._exceptions = [(rule["path"], rule["avoid"]) for rule in data.get("exceptions", [])]

    def check(self, path: str, text: str) -> Iterator[str]:
        """Yield one line of the report for every hit in the file ``path``."""
        allowed = {avoid for glob, avoid in self._exceptions if fnmatch.fnmatch(path, glob)}
        pieces = python_pieces(text) if path.endswith(".py") else [(1, text, False)]
        for line, piece, is_name in pieces:
            if is_name:
                if self.is_forbidden_name(piece) and piece not in allowed:
                    yield f'{path}:{line}: "{piece}": name the thing'
                continue
            for pattern, avoid, write in self._phrases:
                if avoid in allowed:
                    continue
                for match in pattern.finditer(piece):
                    row = line + piece.count("\n", 0, match.start())
                    yield f'{path}:{row}: "{" ".join(match[0].split())}": write {write}'

    def is_forbidden_name(self, name: str) -> bool:
        """Return whether an identifier is on the list, or has a part that is."""
        parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
        return name in self._whole or not self._parts.isdisjoint(parts)


def python_pieces(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (first line, text, whether it is an identifier) of comments, strings and names of a Python file.

    Comments of consecutive lines are one piece.
    """
    comment: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "COMMENT":
            if comment and token.start[0] != last + 1:
                yield first, "\n".join(comment), False
                comment = []
            first = first if comment else token.start[0]
            comment.append(token.string)
            last = token.start[0]
        elif kind in ("STRING", "FSTRING_MIDDLE"):
            yield token.start[0], _without_expressions(token.string), False
        elif kind == "NAME":
            yield token.start[0], token.string, True
    if comment:
        yield first, "\n".join(comment), False


def _without_expressions(literal: str) -> str:
    """Return a literal without the expressions in it; before Python 3.12 a formatted string is a single token."""
    return re.sub(r"\{[^{}\n]*\}", "{}", literal) if re.match(r"[rR]?[fF][rR]?[\"']", literal) else literal


def files(paths: list[str]) -> Iterator[str]:
    """Yield the paths, relative to the checkout, of the files that are checked."""
    names = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths],
        cwd=_CHECKOUT,
        check=True,
        capture_output=True,
    ).stdout
    for name in sorted(filter(None, os.fsdecode(names).split("\0"))):
        path = pathlib.PurePath(name)
        if any(fnmatch.fnmatch(name, glob) for glob in _SKIPPED) or not (_CHECKOUT / name).is_file():
            continue
        if path.suffix == ".py" or path.suffix in _TEXT or path.name in _NAMES:
            yield name


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="*")
    options = parser.parse_args(arguments)
    checker = Checker()
    hits = [
        hit
        for name in files(options.path)
        for hit in checker.check(name, (_CHECKOUT / name).read_text(encoding="utf-8"))
    ]
    sys.stdout.writelines(f"{hit}\n" for hit in hits)
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
