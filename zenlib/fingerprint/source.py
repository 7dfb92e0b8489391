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
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType

from zenlib.fingerprint.code import walk
from zenlib.fingerprint.tokens import scalar

_FUTURE = 0
for _name in future.all_feature_names:
    _FUTURE |= getattr(future, _name).compiler_flag
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


def normal(code: CodeType, file_globals: dict[str, object]) -> Normal:
    """Return `code` without its layout, and its source, if the source is there and matches."""
    file = file_of(code.co_filename, file_globals)
    if file is not None:
        for statement in file.statements_at(code.co_firstlineno):
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
        self._outline(self.body, "")
        self.compiled: dict[int, _Statement] = {}

    def statements_at(self, line: int) -> list[_Statement]:
        found = []
        at = bisect_right(self.starts, line) - 1
        while at >= 0 and self.ends[at] >= line:
            if at not in self.compiled:
                self.compiled[at] = _Statement(self, self.body[at])
            found.append(self.compiled[at])
            at -= 1
        return found

    def text_of(self, first: int, last: int) -> str:
        return textwrap.dedent("".join(self.lines[first - 1 : last]))

    @cached_property
    def original(self) -> dict[tuple[int, str], list[CodeType]]:
        """All code objects of the file as it stands, by line and name."""
        found: dict[tuple[int, str], list[CodeType]] = {}
        flags = _AWAIT
        module = compile("".join(self.lines), "<source>", "exec", flags, dont_inherit=True)
        for code in walk(module):
            found.setdefault((code.co_firstlineno, code.co_name), []).append(code)
        return found

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
                for handler in getattr(node, "handlers", []):
                    self._outline(handler.body, prefix)


@dataclass
class _Statement:
    """A top-level statement, with every function in it moved to a line of its own."""

    file: _File
    node: ast.stmt
    scopes: list[_Scope] = field(init=False)

    def __post_init__(self) -> None:
        self.scopes = _move(self.node)
        self.compiled: dict[int, dict[int, CodeType]] = {}

    def codes(self, flags: int) -> dict[int, CodeType]:
        """The code objects of the statement, by the number of their scope."""
        if flags not in self.compiled:
            module = ast.Module([self.node], type_ignores=[])
            code = compile(module, "<normal>", "exec", flags | _AWAIT, dont_inherit=True)
            names = {number: scope.name for number, scope in enumerate(self.scopes, 1)}
            self.compiled[flags] = {
                each.co_firstlineno: each
                for each in walk(code)
                if names.get(each.co_firstlineno) == each.co_name
            }
        return self.compiled[flags]

    def find(self, live: CodeType) -> Normal | None:
        flags = live.co_flags & _FUTURE
        wanted = (live.co_firstlineno, live.co_name)
        numbers = [n for n, s in enumerate(self.scopes, 1) if (s.first, s.name) == wanted]
        try:
            codes = self.codes(flags)
        except (SyntaxError, ValueError, RecursionError):
            return None
        numbers = [number for number in numbers if number in codes]
        for number in numbers:
            if _same(codes[number], live):
                return self.describe(number, codes[number], flags)
        originals = self.file.original.get(wanted, []) if numbers else []
        for number, original in zip(numbers, originals, strict=False):
            if original == live and len(originals) == len(numbers):
                return self.describe(number, codes[number], flags)
        return None

    def describe(self, number: int, code: CodeType, flags: int) -> Normal:
        scope = self.scopes[number - 1]
        decorators: tuple[CodeType, ...] | None = None
        if not scope.in_function:
            decorators = tuple(
                compile(ast.Expression(each), "<normal>", "eval", flags, dont_inherit=True)
                for each in getattr(scope.node, "decorator_list", [])
            )
        text = self.file.text_of(scope.first, scope.last)
        return Normal(code, text, scope.first, decorators)


def _first_line(node: ast.AST) -> int:
    """The line that the compiler counts a function from: that of its first decorator."""
    decorators = getattr(node, "decorator_list", None)
    return int((decorators[0] if decorators else node).lineno)


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


def _same(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, instruction by instruction."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_cellvars == other.co_cellvars
        and one.co_freevars == other.co_freevars
        and one.co_exceptiontable == other.co_exceptiontable
        and one.co_argcount == other.co_argcount
        and one.co_posonlyargcount == other.co_posonlyargcount
        and one.co_kwonlyargcount == other.co_kwonlyargcount
        and one.co_flags == other.co_flags
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return _same(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same_constant, one, other))
    if isinstance(one, int) and isinstance(other, int) and type(one) is type(other):
        return one == other
    plain = scalar(one)
    return plain == scalar(other) if plain is not None else one == other
