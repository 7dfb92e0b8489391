"""The source text of live code, and the same code compiled as if it were formatted in one way.

Python's compiler lets line breaks leak into bytecode. So the source is parsed, every node of a
function is moved to one line, and the result is compiled again: two functions that differ in
layout only get equal bytecode. The source is believed only if it compiles to the live code; a
file that was edited after its import, or that is gone, leaves the live code as it is.
"""

from __future__ import annotations
import __future__ as future

import ast
import linecache
import textwrap
from bisect import bisect_right
from dataclasses import dataclass
from inspect import CO_NESTED
from types import CodeType

from zenlib.fingerprint.code import walk

_FUTURE = 0
for _name in future.all_feature_names:
    _FUTURE |= getattr(future, _name).compiler_flag
_FUTURE &= ~CO_NESTED  # once a feature, now a mark on every inner function
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # cells of a notebook may await
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Normal:
    """A code object freed of its layout.

    Attributes:
        code: what it compiles to; the live code itself if there is no source to trust.
        source: its text, dedented; empty if there is none to trust.
        line: where it starts.
        decorators: its decorator expressions, compiled, the outermost first; None if they
            cannot be told (no source, or names that only an enclosing function knows).
    """

    code: CodeType
    source: str = ""
    line: int = 0
    decorators: tuple[CodeType, ...] | None = None


@dataclass(slots=True)
class _Scope:
    """A function, class or lambda of a statement: its name, and its lines in the file."""

    name: str
    first: int
    last: int
    node: ast.AST
    in_function: bool

    @property
    def key(self) -> tuple[int, str]:
        """What the compiler calls it: its first line and its name."""
        return self.first, self.name


def normal(code: CodeType, file_globals: dict[str, object]) -> Normal:
    """Return `code` without its layout, and its source, if the source is there and matches."""
    file = file_of(code.co_filename, file_globals)
    if file is not None:
        for statement in file.statements_at(code.co_firstlineno, code.co_flags & _FUTURE):
            found = statement.find(code)
            if found is not None:
                return found
    return Normal(code)


def class_source(filename: str, qualname: str, file_globals: dict[str, object]) -> tuple[str, int]:
    """Return the text and the first line of a class, or `("", 0)` if they cannot be told."""
    file = file_of(filename, file_globals)
    places = file.outline.get(("class", qualname), []) if file else []
    if file is None or len(places) != 1:
        return "", 0
    first, last = places[0]
    return file.text_of(first, last), first


def constant_line(filename: str, name: str, file_globals: dict[str, object]) -> int:
    """Return the line that a module assigns a name on, or 0 if it cannot be told."""
    file = file_of(filename, file_globals)
    places = file.outline.get(("constant", name), []) if file else []
    return places[-1][0] if places else 0


_files: dict[str, tuple[list[str], _File | None]] = {}


def file_of(filename: str, file_globals: dict[str, object]) -> _File | None:
    """Return the parsed source of a file (or notebook cell), read again when it has changed."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, file_globals)
    known = _files.get(filename)
    if known is not None and (known[0] is lines or known[0] == lines):
        return known[1]
    try:
        file = _File(lines) if lines else None
    except (SyntaxError, ValueError, RecursionError):
        file = None
    if lines:
        _files[filename] = (lines, file)
    return file


class _File:
    """One source file: its statements, compiled one by one as they are asked for."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.body = ast.parse("".join(lines)).body
        self.starts = [_first_line(node) for node in self.body]
        self.ends = [node.end_lineno or 0 for node in self.body]
        self.outline: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self.imported: set[str] = set()
        self._outline(self.body, "")
        self.imports = _imports(sorted(self.imported))
        self.compiled: dict[int, _Statement] = {}

    def statements_at(self, line: int, flags: int) -> list[_Statement]:
        """Return the statements that cover a line, compiled with the flags of a future."""
        found = []
        at = bisect_right(self.starts, line) - 1
        while at >= 0 and self.ends[at] >= line:
            if at not in self.compiled:
                self.compiled[at] = _Statement(self, self.body[at], flags)
            if self.compiled[at].flags == flags:
                found.append(self.compiled[at])
            at -= 1
        return found

    def text_of(self, first: int, last: int) -> str:
        return textwrap.dedent("".join(self.lines[first - 1 : last]))

    def _outline(self, body: list[ast.stmt], prefix: str) -> None:
        """Note where classes are defined and where the module's own names are assigned."""
        for node in body:
            place = (_first_line(node), node.end_lineno or 0)
            if isinstance(node, ast.ClassDef):
                self.outline.setdefault(("class", prefix + node.name), []).append(place)
                self._outline(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._outline(node.body, f"{prefix}{node.name}.<locals>.")
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for name in (n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                    self.outline.setdefault(("constant", prefix + name.id), []).append(place)
            else:
                for part in ("body", "orelse", "finalbody"):
                    self._outline(getattr(node, part, []), prefix)
                for branch in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                    self._outline(branch.body, prefix)
            if isinstance(node, ast.Import | ast.ImportFrom) and not prefix:
                names = (each.asname or each.name.partition(".")[0] for each in node.names)
                self.imported.update(name for name in names if name != "*")


class _Statement:
    """A top-level statement, compiled as it stands and with each function moved to one line."""

    def __init__(self, file: _File, node: ast.stmt, flags: int) -> None:
        self.file = file
        self.flags = flags
        self.originals: dict[tuple[int, str], list[CodeType]] = {}
        for code in _codes(file, node, flags):
            self.originals.setdefault((code.co_firstlineno, code.co_name), []).append(code)
        self.scopes = _move(node)
        names = {number: scope.name for number, scope in enumerate(self.scopes, 1)}
        self.moved = {
            code.co_firstlineno: code
            for code in _codes(file, node, flags)
            if names.get(code.co_firstlineno) == code.co_name
        }

    def find(self, live: CodeType) -> Normal | None:
        """Return the code without layout that belongs to `live`, if it is compiled from here."""
        wanted = (live.co_firstlineno, live.co_name)
        originals = self.originals.get(wanted, [])
        numbers = [number for number in self.moved if self.scopes[number - 1].key == wanted]
        if len(originals) == len(numbers):
            for number, original in zip(numbers, originals, strict=True):
                if original == live:
                    return self.describe(number, self.moved[number])
        return None

    def describe(self, number: int, code: CodeType) -> Normal:
        scope = self.scopes[number - 1]
        decorators: tuple[CodeType, ...] | None = None
        if not scope.in_function:
            decorators = tuple(
                compile(ast.Expression(each), "<normal>", "eval", self.flags, dont_inherit=True)
                for each in getattr(scope.node, "decorator_list", [])
            )
        text = self.file.text_of(scope.first, scope.last)
        return Normal(code, text, scope.first, decorators)


def _imports(names: list[str]) -> list[ast.stmt]:
    """A statement that imports these names: the compiler calls `np.sum` in a way of its own
    where it sees that the module imports `np`."""
    place = {"lineno": 1, "end_lineno": 1, "col_offset": 0, "end_col_offset": 0}
    aliases = [ast.alias("module", name, **place) for name in names]
    return [ast.Import(aliases, **place)] if aliases else []


def _codes(file: _File, node: ast.stmt, flags: int) -> list[CodeType]:
    """Compile a statement; return its code objects, or none if it does not compile alone."""
    module = ast.Module([*file.imports, node], type_ignores=[])
    try:
        return list(walk(compile(module, "<source>", "exec", flags | _AWAIT, dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError):  # such as a return outside a function
        return []


def _first_line(node: ast.AST) -> int:
    """The line that the compiler counts a function from: that of its first decorator."""
    first = next(iter(getattr(node, "decorator_list", ())), node)
    return int(getattr(first, "lineno", 0))


def _move(statement: ast.stmt) -> list[_Scope]:
    """Move all nodes of each function or class to one line; return the scopes in line order."""
    scopes: list[_Scope] = []
    stack: list[tuple[ast.AST, int, bool]] = [(statement, 0, False)]
    while stack:
        node, line, in_function = stack.pop()
        if isinstance(node, _SCOPES):
            name = getattr(node, "name", "<lambda>")
            last = node.end_lineno or node.lineno
            scopes.append(_Scope(name, _first_line(node), last, node, in_function))
            line = len(scopes)
            in_function = in_function or not isinstance(node, ast.ClassDef)
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = line or len(scopes) + 1  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
        children = [(child, line, in_function) for child in ast.iter_child_nodes(node)]
        stack.extend(reversed(children))
    return scopes
