"""What a function reaches: the names it reads, resolved in the live objects, not in the text."""

from __future__ import annotations

import builtins
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

from zenlib.fingerprint.code import Ref, Skeleton, skeleton
from zenlib.fingerprint.encode import Encoder
from zenlib.fingerprint.graph import MISSING, Graph, Node, read
from zenlib.fingerprint.live import owner_of_class, owner_of_globals, owner_of_module
from zenlib.fingerprint.members import fill_class, fill_module
from zenlib.fingerprint.project import file_of_module
from zenlib.fingerprint.shown import shown
from zenlib.fingerprint.source import constant_line
from zenlib.fingerprint.tokens import text

_LOADERS = (importlib.import_module, builtins.__import__)
_RUNNERS = (importlib.reload, builtins.eval, builtins.exec, builtins.globals)


def fill(graph: Graph, node: Node) -> None:
    """Look into one node, and put what it refers to in the queue."""
    encoder = Encoder(graph, node)
    _FILLERS.get(node.kind, Encoder.encode)(encoder, node.obj)
    if node.kind not in _FILLERS:
        node.shown = shown(node.name, node.obj)
    node.fixed = encoder.fixed
    node.items = encoder.items


def encode_again(graph: Graph, node: Node) -> list[bytes | Node]:
    """Look into a node again, in a graph that is complete."""
    encoder = Encoder(graph, node)
    _FILLERS.get(node.kind, Encoder.encode)(encoder, node.obj)
    return encoder.items


def _fill_function(encoder: Encoder, fn: types.FunctionType) -> None:
    graph, node = encoder.graph, encoder.node
    graph.watch_function(fn)
    found, holes = read(fn.__code__, fn.__globals__)
    node.source = found.source
    node.where = _where(graph, fn, found.line)
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
    for hole in holes:
        if isinstance(hole, bytes):
            encoder.put(hole)
        else:
            _follow(encoder, hole, fn.__globals__, cells)
    _defaults(encoder, fn)
    for name in sorted(fn.__dict__):
        if not name.startswith("__"):
            encoder.put(text(name))
            encoder.refer(fn.__dict__[name], (id(fn), "attribute", name), f"{node.name}.{name}")
    wrapped = fn.__dict__.get("__wrapped__")
    if wrapped is not None:  # its decorator may have read the annotations
        encoder.encode(wrapped)
        encoder.annotations(getattr(wrapped, "__annotations__", None))


def _where(graph: Graph, fn: types.FunctionType, line: int) -> str:
    code = fn.__code__
    if code.co_filename.startswith("<"):
        return ""
    place = graph.project.place(code.co_filename, str(fn.__globals__.get("__name__", "")))
    return f"{place}:{line or code.co_firstlineno}"


def _defaults(encoder: Encoder, fn: types.FunctionType) -> None:
    code, defaults = fn.__code__, fn.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    given = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    for parameter, value in {**given, **(fn.__kwdefaults__ or {})}.items():
        key = (id(fn), "default", parameter)
        name = f"{encoder.node.name}({parameter})"
        encoder.put(text(parameter), encoder.graph.node(key, value, "default", name))


def _follow(
    encoder: Encoder,
    ref: Ref,
    names: dict[str, Any],
    cells: dict[str, types.CellType],
) -> None:
    """Add what a reference means at the moment."""
    graph = encoder.graph
    if ref.origin == "import":
        _follow_import(encoder, ref, names)
    elif ref.origin == "free":
        value = graph.content(cells[ref.name]) if ref.name in cells else MISSING
        key = (id(cells.get(ref.name)), "closure")
        _attributes(encoder, ref, value, key, f"{encoder.node.name}[{ref.name}]", "closure")
    elif ref.name == "__file__" and isinstance(names.get("__file__"), str):
        place = graph.project.place(names["__file__"], str(names.get("__name__", "")))
        encoder.put(b"f", text(place), *map(text, ref.attributes))
    else:
        value = graph.look(names, ref.name)
        if value is MISSING:
            value = graph.look(_builtins(names), ref.name)
        name = f"{names.get('__name__', '?')}.{ref.name}"
        _attributes(encoder, ref, value, (id(names), ref.name), name, "constant", names)


def _builtins(names: dict[str, Any]) -> dict[str, Any]:
    found = names.get("__builtins__", builtins)
    return vars(found) if isinstance(found, types.ModuleType) else found


def _attributes(
    encoder: Encoder,
    ref: Ref,
    value: Any,
    key: object,
    name: str,
    kind: str,
    names: dict[str, Any] | None = None,
) -> None:
    """Walk through modules to what is meant; the attributes of anything else stay names."""
    rest = ref.attributes
    root = value
    while isinstance(value, types.ModuleType) and rest:
        names = vars(value)
        found = _member(encoder.graph, value, rest[0])
        if found is MISSING and not _followed(encoder.graph, value):
            break
        key, name = (id(names), rest[0]), f"{value.__name__}.{rest[0]}"
        value, rest = found, rest[1:]
    if value is MISSING:
        encoder.put(b"!", text(name.rpartition(".")[2]), *map(text, rest))
        return
    # With attributes left, a library has not loaded them yet (PEP 562): its version says it all.
    used = root is not value or rest
    if isinstance(root, types.ModuleType) and used and _outside(encoder, root, value):
        encoder.put(*map(text, ref.attributes))
        return
    if _imports_by_name(encoder, value, ref, rest):
        return
    encoder.refer(value, key, name, kind)
    node = encoder.items[-1]
    if isinstance(node, Node) and names and node.kind == "constant" and not node.where:
        node.where = _assigned(encoder.graph, name, names)
    encoder.put(*map(text, rest))


def _assigned(graph: Graph, name: str, names: dict[str, Any]) -> str:
    """Where a module assigns a name, as `file:line`, if that can be told."""
    file = names.get("__file__")
    if not isinstance(file, str):
        return ""
    line = constant_line(file, name.rpartition(".")[2], names)
    place = graph.project.place(file, str(names.get("__name__", "")))
    return f"{place}:{line}" if line else ""


def _member(graph: Graph, module: types.ModuleType, name: str) -> Any:
    found = graph.look(vars(module), name)
    if found is MISSING and _followed(graph, module):
        found = getattr(module, name, MISSING)  # by the module's own __getattr__
        if not graph.sealed:
            graph.attributes.append((module, name, found))
    return found


def _followed(graph: Graph, module: types.ModuleType) -> bool:
    return graph.project.owner(module.__name__, file_of_module(module)).followed


def _outside(encoder: Encoder, root: types.ModuleType, value: Any) -> bool:
    """Add an object that is reached through modules outside the project, by the root's name.

    Project code that was put there (a patched function) is followed instead.
    """
    graph = encoder.graph
    if _followed(graph, root) or _is_dynamic(value) or _is_projects(graph, value):
        return False
    graph.use(graph.project.owner(root.__name__, file_of_module(root)))
    if isinstance(value, types.ModuleType):
        graph.use(graph.project.owner(value.__name__, file_of_module(value)))
    elif isinstance(module := getattr(value, "__module__", None), str):
        graph.use(owner_of_module(graph.project, module))
    encoder.put(b"o", text(root.__name__))
    return True


def _is_dynamic(value: object) -> bool:
    return any(value is found for found in (sys.modules, *_LOADERS, *_RUNNERS))


def _is_projects(graph: Graph, value: object) -> bool:
    if isinstance(value, types.FunctionType):
        return owner_of_globals(graph.project, value.__globals__).followed
    return isinstance(value, type) and owner_of_class(graph.project, value).followed


def _imports_by_name(encoder: Encoder, value: Any, ref: Ref, rest: tuple[str, ...]) -> bool:
    """Follow `import_module("features")`: the module is then used as a whole."""
    if ref.given is None or rest or not any(value is loader for loader in _LOADERS):
        return False
    encoder.put(b"y")
    _follow_import(encoder, Ref("import", ref.given), {})
    return True


def _follow_import(encoder: Encoder, ref: Ref, names: dict[str, Any]) -> None:
    """Add what an import in the body of a function binds."""
    graph = encoder.graph
    module = _absolute(ref, names)
    owner = graph.project.owner_by_name(module)
    loaded = graph.look(sys.modules, module)
    if not owner.followed:
        graph.use(owner)
        value = loaded
        for attribute in ref.attributes:
            if isinstance(value, types.ModuleType):
                value = graph.look(vars(value), attribute)
        if not _is_projects(graph, value):
            encoder.put(b"o", text(module), *map(text, ref.attributes))
            return
    if loaded is MISSING or loaded is None:
        loaded = _load(encoder, module)
        if loaded is None:
            return
        graph.look(sys.modules, module)
    if ref.attributes:
        _submodule(encoder, loaded, module, ref.attributes[0])
    _attributes(encoder, ref, loaded, (module, "module"), module, "constant")


def _load(encoder: Encoder, module: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - any module may raise anything
        encoder.doubt(f"imports {module}, which raises {type(error).__name__}: {error}")
        return None


def _submodule(encoder: Encoder, package: types.ModuleType, module: str, name: str) -> None:
    """Load `pkg.mod` for `from pkg import mod`, as the import statement would."""
    if not hasattr(package, "__path__") or hasattr(package, name):
        return
    if importlib.util.find_spec(f"{module}.{name}") is not None:
        _load(encoder, f"{module}.{name}")


def _absolute(ref: Ref, names: dict[str, Any]) -> str:
    if not ref.level:
        return ref.name
    package = names.get("__package__") or str(names.get("__name__", "")).rpartition(".")[0]
    parts = str(package).split(".")
    base = ".".join(parts[: len(parts) - ref.level + 1])
    return f"{base}.{ref.name}" if ref.name else base


def _fill_decorators(encoder: Encoder, wrapped: types.FunctionType) -> None:
    """Add the decorator expressions of a function, and the annotations they may have read."""
    found, _ = read(wrapped.__code__, wrapped.__globals__)
    for expression in found.decorators or ():
        holes = skeleton(expression)
        if _is_zenlibs(holes, wrapped.__globals__):
            continue
        for hole in holes:
            if isinstance(hole, bytes):
                encoder.put(hole)
            else:
                _follow(encoder, hole, wrapped.__globals__, {})
    encoder.annotations(wrapped.__annotations__)


def _is_zenlibs(holes: Skeleton, names: dict[str, Any]) -> bool:
    """Whether a decorator is zenlib's own: its options are not code."""
    first = next((hole for hole in holes if isinstance(hole, Ref)), None)
    value = names.get(first.name) if first else None
    module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    return str(module).partition(".")[0] == "zenlib"


_FILLERS: dict[str, Callable[[Encoder, Any], None]] = {
    "function": _fill_function,
    "step": _fill_function,
    "decorators": _fill_decorators,
    "class": fill_class,
    "module": fill_module,
}
