# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/errors.md, which lists the codes of all errors, from the sources of the collection.

    errors.py [--write] [--root FOLDER]

Without --write it only checks that the document is up to date. In both cases it reports, as ``file:line: problem``,
errors without a code and codes that do not begin with the package that raises them, and returns 1 if there are any.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import operator
import pathlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_FORMER = pathlib.Path(__file__).with_name("former_codes.toml")
_CODE = re.compile(r"([a-z_]+)\.[a-z0-9_]+")
#: String literals of this form that are file names.
_FILE_SUFFIXES = ("raw", "vmdk", "ovf", "ova", "json", "jsonl", "txt", "yml", "py", "log", "cmd", "zst", "qcow2")
#: How the numbers of limits are written in the sources.
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_HEADER = """\
# Error codes

Every error of the collection has a code `<package>.<name>`. A failed module returns it as `code`, next to `msg`, `hint` and
`details`, so that a playbook can test it. The code of a released error does not change; the wording of its message may.

This page is generated from the sources: `make docs-errors` writes it. Names in braces are placeholders. The *class* says
which kind of error it is:

| Class | Meaning |
|---|---|
"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One place in the sources that builds an error."""

    package: str
    code: str
    kind: str
    message: str
    hint: str
    path: str


@dataclasses.dataclass(frozen=True)
class Problem:
    """A violation of the rules for codes."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclasses.dataclass
class Module:
    """A parsed source file."""

    path: str
    package: str
    tree: ast.Module

    def __post_init__(self) -> None:
        self.constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        #: Classes of the file that are not errors, in spite of their name.
        self.other_classes = {node.name for node in self.tree.body if isinstance(node, ast.ClassDef) and not node.bases}


def read_modules(root: pathlib.Path) -> list[Module]:
    """Parse the sources below plugins/. The package of files outside module_utils is the name of their folder."""
    modules = []
    for path in sorted((root / "plugins").rglob("*.py")):
        parts = path.relative_to(root / "plugins").parts
        package = parts[1] if parts[0] == "module_utils" and len(parts) > 2 else parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules.append(Module(path.relative_to(root).as_posix(), package, tree))
    _share_constants(modules)
    return modules


def _share_constants(modules: list[Module]) -> None:
    """Add the constants of other modules to each module, if a single module defines their name."""
    definitions: dict[str, list[ast.expr]] = {}
    for module in modules:
        for name, value in module.constants.items():
            if name.isupper() and not name.startswith("_"):
                definitions.setdefault(name, []).append(value)
    shared = {name: values[0] for name, values in definitions.items() if len(values) == 1}
    for module in modules:
        module.constants = {**shared, **module.constants}


def error_classes(modules: list[Module]) -> dict[str, str]:
    """Return StrataError and its subclasses with the first line of their docstrings."""
    found: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for module in modules:
            for node in ast.walk(module.tree):
                if not isinstance(node, ast.ClassDef) or node.name in found:
                    continue
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if node.name == "StrataError" or bases & found.keys():
                    found[node.name] = (ast.get_docstring(node) or "").split("\n")[0]
                    changed = True
    return found


def render(node: ast.expr | None, names: Mapping[str, ast.expr], depth: int = 0) -> str:
    """Return the text that an expression builds, with values as names in braces."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            render(part.value, names, depth) if isinstance(part, ast.FormattedValue) else render(part, names, depth)
            for part in node.values
        )
    if (number := _number(node, names)) is not None:
        return str(number)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _builds_text(node, names):
        left, right = render(node.left, names, depth), render(node.right, names, depth)
        # A change of the first letter, such as text[0].upper() + text[1:].
        return left if left == right and left.startswith("{") else left + right
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _builds_text(node.left, names):
        return re.sub(r"%(\([a-z_]+\))?[a-z]", "{value}", render(node.left, names, depth)).replace("%%", "%")
    if isinstance(node, ast.IfExp):
        choices = [render(node.body, names, depth), render(node.orelse, names, depth)]
        return " / ".join(choice for choice in choices if choice)
    if isinstance(node, ast.BoolOp):
        return " / ".join(dict.fromkeys(filter(None, (render(value, names, depth) for value in node.values))))
    if (value := _resolve(node, names)) is not node and depth < 5:
        return render(value, names, depth + 1)
    return f"{{{_name(node)}}}"


def _resolve(node: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    """Return the value of a name, or of a constant of an imported module; any other expression unchanged."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node)
    if isinstance(node, ast.Attribute) and node.attr.isupper() and isinstance(node.value, ast.Name):
        return names.get(node.attr, node)
    return node


def _builds_text(node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> bool:
    """Return whether an expression builds text, as far as its literals show."""
    if isinstance(node, ast.BinOp):
        return _builds_text(node.left, names, depth) or _builds_text(node.right, names, depth)
    if isinstance(node, ast.IfExp):
        return _builds_text(node.body, names, depth) or _builds_text(node.orelse, names, depth)
    value = _resolve(node, names)
    return (
        isinstance(value, ast.JoinedStr)
        or _is_text(value)
        or (value is not node and depth < 5 and _builds_text(value, names, depth + 1))
    )


def _number(node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> int | None:
    """Return the value of an expression of constant whole numbers, or None."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, int) and not isinstance(node.value, bool) else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _number(node.left, names, depth), _number(node.right, names, depth)
        return None if left is None or right is None else _OPERATORS[type(node.op)](left, right)
    value = _resolve(node, names)
    return None if value is node or depth > 4 else _number(value, names, depth + 1)


def _name(node: ast.expr) -> str:
    """Return a readable name for a value."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").lower()
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").lower()
    if isinstance(node, ast.Subscript):
        key = node.slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return key.value
        last = isinstance(key, ast.UnaryOp) and isinstance(key.operand, ast.Constant) and key.operand.value == 1
        return f"last of {_name(node.value)}" if last else _name(node.value)
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name == "len":
            return f"number of {_name(node.args[0])}"
        if name in ("join", "sorted", "str", "repr", "format", "list", "next", "abs", "min", "max") and node.args:
            return _name(node.args[0])
        if name == "get" and node.args and isinstance(node.args[0], ast.Constant):
            return str(node.args[0].value)
        if name in ("upper", "lower", "decode", "strip", "replace", "hex", "rstrip") and isinstance(
            node.func, ast.Attribute
        ):
            return _name(node.func.value)
        return name
    if isinstance(node, ast.BinOp):
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}.get(type(node.op))
        left, right = _name(node.left), _name(node.right)
        return f"{left} {sign} {right}" if sign and left != right else left
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _name(node.generators[0].iter)
    return "value"


class Reader:
    """Finds the errors in the sources."""

    def __init__(self, modules: list[Module]) -> None:
        self._modules = modules
        self.classes = error_classes(modules)
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        #: By (package, name), and by (path, name) for functions of the same file.
        self._helpers: dict[tuple[str, str], tuple[Module, ast.FunctionDef]] = {}
        for module in modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.FunctionDef):
                    self._helpers[module.package, node.name] = self._helpers[module.path, node.name] = module, node

    def read(self) -> None:
        """Fill ``entries`` and ``problems``."""
        for module in self._modules:
            done: set[int] = set()
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    self._read_call(module, node, done)
                elif isinstance(node, ast.Tuple):
                    self._read_table_row(module, node, done)
            for literal in _code_literals(module):
                if id(literal) not in done:
                    self._add(module, literal.value, "", "", "")
        self.entries = sorted(dict.fromkeys(self.entries), key=lambda entry: (entry.package, entry.code, entry.path))

    def _read_call(self, module: Module, call: ast.Call, done: set[int]) -> None:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        name = _called(call)
        if name in self.classes and name not in module.other_classes:
            code = keywords.get("code")
            if code is None:
                self._report(module, call, f"{name} has no code")
            elif isinstance(code, ast.Constant):
                self._check(module, code)
                done.add(id(code))
                message = render(call.args[0] if call.args else keywords.get("message"), module.constants)
                self._add(module, code.value, name, message, self._hint(name, keywords, module.constants))
            return
        literals = [value for value in [*call.args, *keywords.values()] if is_code(value, module.package)]
        if isinstance(keywords.get("code"), ast.Constant) and keywords["code"] not in literals:
            self._check(module, keywords["code"])
        literals = literals or self._default_codes(module, name)
        for literal in literals:
            if id(literal) not in done and (found := self._by_helper(module, call, keywords, literal)):
                if literal in [*call.args, *keywords.values()]:
                    done.add(id(literal))
                self.entries.append(found)

    def _helper(self, module: Module, name: str) -> tuple[Module, ast.FunctionDef] | None:
        """Return the function that a name means in a module."""
        return self._helpers.get((module.path, name)) or self._helpers.get((module.package, name))

    def _default_codes(self, module: Module, name: str) -> list[ast.expr]:
        """Return the codes that are defaults of the parameters of a function of the package."""
        found = self._helper(module, name)
        if found is None:
            return []
        _module, helper = found
        defaults = [*helper.args.defaults, *(default for default in helper.args.kw_defaults if default is not None)]
        return [default for default in defaults if is_code(default, module.package)]

    def _read_table_row(self, module: Module, row: ast.Tuple, done: set[int]) -> None:
        """Read a row (class, code, hint) of a table from which a function builds errors."""
        kinds = [part.id for part in row.elts if isinstance(part, ast.Name) and part.id in self.classes]
        codes = [part for part in row.elts if isinstance(part, ast.Constant) and is_code(part, module.package)]
        if len(kinds) == len(codes) == 1:
            done.add(id(codes[0]))
            hint = "".join(
                render(part, module.constants) for part in row.elts if part is not codes[0] and _is_text(part)
            )
            self._add(module, codes[0].value, kinds[0], "{subject} failed: {fault}.", hint)

    def _by_helper(
        self, module: Module, call: ast.Call, keywords: Mapping[str, ast.expr], literal: ast.expr
    ) -> Entry | None:
        """Return the error that a function builds which is called with the code ``literal``."""
        found = self._helper(module, _called(call))
        if found is None:
            return None
        helper_module, helper = found
        parameters = [argument.arg for argument in [*helper.args.posonlyargs, *helper.args.args]]
        if parameters[:1] in (["self"], ["cls"]):
            del parameters[0]
        optional = parameters[len(parameters) - len(helper.args.defaults) :]
        values = dict(zip(optional, helper.args.defaults))
        values |= {
            argument.arg: default
            for argument, default in zip(helper.args.kwonlyargs, helper.args.kw_defaults)
            if default is not None
        }
        values |= dict(zip(parameters, call.args)) | keywords
        code_parameter = next((name for name, value in values.items() if value is literal), None)
        for node in ast.walk(helper):
            if not isinstance(node, ast.Call):
                continue
            inner = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            passed = inner.get("code")
            if not (isinstance(passed, ast.Name) and passed.id == code_parameter):
                continue
            names = {**helper_module.constants, **module.constants, **values}
            kind = self._class_of(node, values)
            message = render(node.args[0] if node.args else None, names)
            return self._entry(module, literal, kind, message, self._hint(kind, inner, names))
        return None

    def _class_of(self, call: ast.Call, values: Mapping[str, ast.expr]) -> str:
        name = _called(call)
        value = values.get(name)
        if isinstance(value, ast.Name):
            name = value.id
        return name if name in self.classes else ""

    def _hint(self, kind: str, keywords: Mapping[str, ast.expr], names: Mapping[str, ast.expr]) -> str:
        if kind == "InternalError" and "hint" not in keywords:
            return "This is a defect of strata.layering: report it with these details."
        return render(keywords.get("hint"), names)

    def _check(self, module: Module, code: ast.expr) -> None:
        text = code.value if isinstance(code, ast.Constant) else None
        match = _CODE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            self._report(module, code, f"{text!r} is not a code <package>.<name>")
        elif match[1] != module.package:
            self._report(module, code, f"the code {text} does not begin with the package {module.package}")

    def _entry(self, module: Module, literal: ast.expr, kind: str, message: str, hint: str) -> Entry:
        code = literal.value if isinstance(literal, ast.Constant) else ""
        return Entry(module.package, str(code), kind, message, hint, module.path)

    def _add(self, module: Module, code: object, kind: str, message: str, hint: str) -> None:
        self.entries.append(Entry(module.package, str(code), kind, message, hint, module.path))

    def _report(self, module: Module, node: ast.expr, text: str) -> None:
        self.problems.append(Problem(module.path, node.lineno, text))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _called(call: ast.Call) -> str:
    """Return the name of the called function or method."""
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def is_code(node: ast.AST, package: str) -> bool:
    """Return whether a node is a string literal of the form of this package's codes."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    match = _CODE.fullmatch(node.value)
    return match is not None and match[1] == package and node.value.rpartition(".")[2] not in _FILE_SUFFIXES


def _code_literals(module: Module) -> Iterator[ast.Constant]:
    """Yield the string literals that are codes of the module's package, except in comparisons and container look-ups."""
    compared = {
        id(part)
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Compare, ast.JoinedStr))
        for part in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and is_code(node, module.package) and id(node) not in compared:
            yield node


def document(entries: list[Entry], classes: Mapping[str, str], former: Mapping[str, list[str]]) -> str:
    """Return the text of docs/errors.md."""
    used = {entry.kind for entry in entries}
    lines = [f"| `{name}` | {_cell(text)} |" for name, text in classes.items() if name in used]
    text = _HEADER + "\n".join(lines) + "\n"
    for package in sorted({entry.package for entry in entries}):
        text += f"\n## {package}\n\n| Code | Message and hint | Class | Raised in |\n|---|---|---|---|\n"
        own = [entry for entry in entries if entry.package == package]
        text += "".join(_row(code, own) for code in sorted({entry.code for entry in own}))
    if former:
        text += "\n## Former codes\n\nCodes in earlier versions of the collection did not always begin with the package that raises them.\n"
        text += "\n| Former code | Codes now |\n|---|---|\n"
        text += "".join(f"| `{old}` | {', '.join(f'`{new}`' for new in codes)} |\n" for old, codes in former.items())
    return text


def _row(code: str, entries: list[Entry]) -> str:
    entries = [entry for entry in entries if entry.code == code]
    described = [entry for entry in entries if entry.message] or entries
    texts = dict.fromkeys(
        _cell(" ".join(filter(None, (entry.message, f"*{entry.hint}*" if entry.hint else "")))) for entry in described
    )
    kinds = dict.fromkeys(f"`{entry.kind}`" for entry in described if entry.kind)
    files = dict.fromkeys(f"[{pathlib.PurePath(entry.path).name}](../{entry.path})" for entry in entries)
    return f"| `{code}` | {'<br>'.join(texts)} | {', '.join(kinds)} | {', '.join(files)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def former_codes(path: pathlib.Path = _FORMER) -> dict[str, list[str]]:
    """Return the codes that were renamed, and the codes that replace each of them."""
    if not path.exists():
        return {}
    return tomllib.loads(path.read_text(encoding="utf-8"))["codes"]


def main(arguments: list[str] | None = None) -> int:
    """Check the codes, and write or check the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/errors.md")
    parser.add_argument("--root", type=pathlib.Path, default=_CHECKOUT, help="the checkout")
    options = parser.parse_args(arguments)
    reader = Reader(read_modules(options.root))
    reader.read()
    known = {entry.code for entry in reader.entries}
    former = {
        old: codes
        for old, codes in sorted(
            (old, [code for code in codes if code in known]) for old, codes in former_codes().items()
        )
        if codes and codes != [old]
    }
    text = document(reader.entries, reader.classes, former)
    target = options.root / "docs" / "errors.md"
    problems = [str(problem) for problem in sorted(reader.problems, key=lambda problem: (problem.path, problem.line))]
    if options.write:
        target.write_text(text, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        problems.append("docs/errors.md:1: not up to date; run make docs-errors")
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
