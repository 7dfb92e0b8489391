"""What one function does: its compiled instructions, with the names it reads left as holes.

A skeleton is the instructions of a code object and of those nested in it. Local variables are
numbered in the order in which they appear, so their names do not count; names read from outside
(globals, closure cells, imports in the body) become `Ref`s, which `zenlib.fingerprint.reach`
fills with what they mean at the moment. Line numbers, comments, docstrings and annotations of
the function's own parameters are not in the instructions.

Bytecode differs between minor versions of Python, whose number is part of every fingerprint.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import CodeType

from zenlib.fingerprint.tokens import scalar, text

_FLAGS = (
    inspect.CO_OPTIMIZED
    | inspect.CO_NEWLOCALS
    | inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
_LOCAL, _FREE = frozenset(dis.haslocal), frozenset(dis.hasfree)
_NAME, _CONST = frozenset(dis.hasname), frozenset(dis.hasconst)
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")
_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_FAST = re.compile(r"(LOAD|STORE)_FAST")
_SEES_NAMES = frozenset({"locals", "vars", "dir", "eval", "exec", "f_locals", "_getframe"})
"""Where one of these is used, the names of local variables are part of the meaning."""
_DESCRIBES = frozenset({"__qualname__", "__doc__", "__firstlineno__"})
"""Names in a class body whose constants say where the class stands, not what it does."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that code reads from outside itself, with the attributes read from it at once.

    Attributes:
        origin: `global`, `free` (a closure cell) or `import` (a module imported in the body).
        name: the variable's name, or the module's for `import`.
        attributes: the chain that follows: `("mod", "clean")` for `pkg.mod.clean`.
        level: the dots of a relative import.
        given: the constant string that it is called with, as in `import_module("features")`.
    """

    origin: str
    name: str
    attributes: tuple[str, ...] = ()
    level: int = 0
    given: str | None = None


Skeleton = tuple["bytes | Ref", ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction: its name, its operand as Python sees it, and as a number."""

    op: str
    code: int
    value: object
    arg: int


def skeleton(code: CodeType) -> Skeleton:
    """Return what `code` does, with a `Ref` for each name that it reads from outside."""
    literal = any(not _SEES_NAMES.isdisjoint(each.co_names) for each in walk(code))
    reader = _Reader(code, None, literal)
    reader.read()
    return _joined(reader.out)


def walk(code: CodeType) -> Iterator[CodeType]:
    """Yield `code` and the code objects nested in it, outer ones first."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from walk(constant)


def _joined(tokens: list[bytes | Ref]) -> Skeleton:
    joined: list[bytes | Ref] = []
    run: list[bytes] = []
    for token in tokens:
        if isinstance(token, bytes):
            run.append(token)
            continue
        joined += (b"".join(run), token)
        run.clear()
    return (*joined, b"".join(run))


def _steps(code: CodeType) -> list[_Step]:
    """The instructions, with those that handle two local variables at once split in two."""
    steps = []
    for each in dis.get_instructions(code):
        arg = each.arg or 0
        if each.opcode in _LOCAL and isinstance(each.argval, tuple):
            kinds = _FAST.findall(each.opname)
            steps += [
                _Step(f"{kind}_FAST", each.opcode, name, 0)
                for kind, name in zip(kinds, each.argval, strict=True)
            ]
        else:
            # `dis` of 3.11 does not know the constants of KW_NAMES, so they are looked up here.
            value = code.co_consts[arg] if each.opcode in _CONST else each.argval
            steps.append(_Step(each.opname, each.opcode, value, arg))
    return steps


class _Reader:
    """Turns one code object into tokens; nested ones by readers of their own."""

    def __init__(self, code: CodeType, outer: _Reader | None, literal: bool) -> None:
        self.code = code
        self.steps = _steps(code)
        self.outer = outer
        self.literal = literal
        self.out: list[bytes | Ref] = []
        self.imports: dict[str, Ref] = _imports(code, self.steps)
        self.own = {*code.co_varnames, *code.co_cellvars}
        self.numbers: dict[str, bytes] = {}
        self.written = {step.value for step in self.steps if step.op == "STORE_NAME"}

    def read(self) -> None:
        code = self.code
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & inspect.CO_VARARGS)
        count += bool(code.co_flags & inspect.CO_VARKEYWORDS)
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self.out.append(b"code(%d,%d,%d,%d" % (*shape, code.co_flags & _FLAGS))
        self.out += [text(name) for name in code.co_varnames[:count]]
        for name in code.co_varnames[:count]:
            self.local(name)
        position = 0
        while position < len(self.steps):
            position = self.step(position)
        self.out.append(b"x%d:%b)" % (len(code.co_exceptiontable), code.co_exceptiontable))

    def step(self, at: int) -> int:
        """Take in the instruction at `at`; return where the next one is."""
        step = self.steps[at]
        following = self.steps[at + 1] if at + 1 < len(self.steps) else None
        if step.code in _CONST:
            describes = following and following.op == "STORE_NAME" and following.value in _DESCRIBES
            self.out.append(b"%b " % step.op.encode())
            self.out += [b"-"] if describes else self.constant(step.value)
        elif step.op == "IMPORT_NAME":
            self.imported(at)
        elif step.op in _GLOBAL:
            return self.read_global(at)
        elif step.code in _LOCAL or step.code in _FREE:
            return self.variable(at)
        elif step.code in _NAME:
            self.out.append(b"%b/%d " % (step.op.encode(), _name_flags(step)))
            self.out.append(text(str(step.value)))
        else:
            self.out.append(b"%b %d;" % (step.op.encode(), step.arg))
        return at + 1

    def read_global(self, at: int) -> int:
        step = self.steps[at]
        name = str(step.value)
        self.out.append(b"%b/%d " % (step.op.encode(), _name_flags(step)))
        if name in self.written:  # in a class body: its own name, or the global before that
            self.out.append(text(name))
        if name in self.imports:
            return self.chain(at, self.imports[name])
        return self.chain(at, Ref("global", name))

    def chain(self, at: int, ref: Ref) -> int:
        """Add a reference and the attributes that are read from it at once."""
        end = at + 1
        while end < len(self.steps) and self.steps[end].op in _ATTRIBUTE:
            end += 1
        following = self.steps[at + 1 : end]
        names = tuple(str(step.value) for step in following)
        marks = b"".join(b"%b/%d." % (s.op.encode(), _name_flags(s)) for s in following)
        self.out.append(marks)
        given = _called_with(self.steps, end)
        self.out.append(replace(ref, attributes=ref.attributes + names, given=given))
        return end

    def variable(self, at: int) -> int:
        """A local variable or a closure cell is read, written or handed on."""
        step = self.steps[at]
        name = str(step.value)
        loads = step.op.startswith("LOAD_")
        if self.captures(step, name):
            # Cells come in the order of their names; the function inside tells which it uses.
            self.out.append(b"CELL;")
            return at + 1
        self.out.append(b"%b " % step.op.encode())
        found = self.meaning(name)
        if isinstance(found, bytes):
            self.out.append(found)
        elif loads:
            return self.chain(at, found)
        elif name in self.imports:
            self.out.append(b"import;")
        return at + 1

    def captures(self, step: _Step, name: str) -> bool:
        """Whether a variable's cell is made or handed on, rather than read (LOAD_DEREF)."""
        if step.op in ("MAKE_CELL", "LOAD_CLOSURE"):
            return True
        in_cell = name in self.code.co_cellvars or name in self.code.co_freevars
        return step.op == "LOAD_FAST" and in_cell

    def meaning(self, name: str) -> bytes | Ref:
        if name in self.imports:
            return self.imports[name]
        if name in self.own:
            return self.local(name)
        if self.outer is None:
            return Ref("free", name)
        outer = self.outer.meaning(name)
        return b"^" + outer if isinstance(outer, bytes) else outer

    def local(self, name: str) -> bytes:
        if name not in self.numbers:
            self.numbers[name] = text(name) if self.literal else b"%d;" % len(self.numbers)
        return self.numbers[name]

    def imported(self, at: int) -> None:
        """An import in the body: what it binds is followed where it is used, or here as a whole."""
        name, level, names, bound = _import_at(self.steps, at)
        tracked = all(variable in self.imports for variable, _ in bound) and bool(bound)
        self.out.append(b"IMPORT_NAME ")
        if tracked:
            return
        for origin in [origin for _, origin in bound] or [Ref("import", name, names, level)]:
            self.out.append(origin)

    def constant(self, value: object) -> list[bytes | Ref]:
        plain = scalar(value)
        if plain is not None:
            return [plain]
        if isinstance(value, CodeType):
            nested = _Reader(value, self, self.literal)
            nested.read()
            return nested.out
        if isinstance(value, tuple):
            inner = [token for item in value for token in self.constant(item)]
            return [b"(%d" % len(value), *inner]
        if isinstance(value, frozenset):
            items = [b"".join(t for t in self.constant(i) if isinstance(t, bytes)) for i in value]
            return [b"{%d" % len(value), *sorted(items)]
        return [text(repr(value))]  # a slice, from Python 3.14 on


def _name_flags(step: _Step) -> int:
    """The bits that some instructions keep below the index of the name."""
    if step.op == "LOAD_GLOBAL" or (step.op == "LOAD_ATTR" and sys.version_info >= (3, 12)):
        return step.arg & 1
    return step.arg & 3 if step.op == "LOAD_SUPER_ATTR" else 0


def _called_with(steps: list[_Step], at: int) -> str | None:
    """The constant string that the value just loaded is called with, if it is that simple."""
    ops = [step for step in steps[at : at + 4] if step.op not in ("PRECALL", "PUSH_NULL")]
    if len(ops) >= 2 and ops[0].op == "LOAD_CONST" and ops[1].op == "CALL" and ops[1].arg == 1:
        return ops[0].value if isinstance(ops[0].value, str) else None
    return None


def _imports(code: CodeType, steps: list[_Step]) -> dict[str, Ref]:
    """The variables of a scope that nothing but one import binds."""
    found: dict[str, set[Ref]] = {}
    bindings: Counter[str] = Counter()
    for at, step in enumerate(steps):
        if step.op == "IMPORT_NAME":
            for variable, origin in _import_at(steps, at)[3]:
                found.setdefault(variable, set()).add(origin)
                bindings[variable] += 1
    if not found:
        return {}
    stored = Counter(str(s.value) for s in steps if s.op.startswith(("STORE_", "DELETE_")))
    for nested in walk(code):
        if nested is not code:
            stored.update(
                str(s.value) for s in dis_names(nested) if s.op in ("STORE_DEREF", "STORE_GLOBAL")
            )
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {
        variable: next(iter(origins))
        for variable, origins in found.items()
        if len(origins) == 1
        and stored[variable] == bindings[variable]
        and variable not in parameters
    }


def dis_names(code: CodeType) -> list[_Step]:
    """The instructions of `code` that name a variable."""
    return [step for step in _steps(code) if step.code in _FREE or step.code in _NAME]


def _import_at(
    steps: list[_Step], at: int
) -> tuple[str, int, tuple[str, ...], list[tuple[str, Ref]]]:
    """Read the import whose IMPORT_NAME is at `at`: module, dots, names, what is bound to what."""
    name = str(steps[at].value)
    level = steps[at - 2].value if at >= 2 else 0
    level = level if isinstance(level, int) else steps[at - 2].arg
    listed = steps[at - 1].value
    names = tuple(map(str, listed)) if isinstance(listed, tuple) else ()
    bound: list[tuple[str, Ref]] = []
    position = at + 1
    if not names:
        whole = position < len(steps) and steps[position].op == "IMPORT_FROM"  # import a.b as m
        while position < len(steps) and steps[position].op in ("IMPORT_FROM", "SWAP", "POP_TOP"):
            position += 1
        if position < len(steps) and steps[position].op.startswith("STORE_"):
            module = name if whole else name.partition(".")[0]
            bound.append((str(steps[position].value), Ref("import", module, (), level)))
        return name, level, (), bound
    while position + 1 < len(steps) and steps[position].op == "IMPORT_FROM":
        store = steps[position + 1]
        if not store.op.startswith("STORE_"):
            return name, level, names, []
        origin = Ref("import", name, (str(steps[position].value),), level)
        bound.append((str(store.value), origin))
        position += 2
    return name, level, names, bound
