"""From a function to its fingerprint, and back to the last one as long as nothing has changed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from zenlib.fingerprint.declared import files_of
from zenlib.fingerprint.graph import Graph, HashValue, Node
from zenlib.fingerprint.parts import Fingerprint, Part
from zenlib.fingerprint.project import Project
from zenlib.fingerprint.reach import encode_again, fill
from zenlib.fingerprint.tokens import text
from zenlib.hashing import digest_of

FORMAT = b"zenlib fingerprint 1"
"""Counted up when the rules change: no old fingerprint then equals a new one."""

Extra = Callable[..., Any] | type | ModuleType | Path | str
_CAPACITY = 256
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_lock = threading.RLock()
_last: dict[tuple[int, ...], tuple[tuple[Any, ...], Graph, Fingerprint]] = {}
_projects: dict[Path, Project] = {}


def fingerprint(
    fn: Callable[..., Any],
    *,
    extra: Sequence[Extra] = (),
    hash_value: HashValue | None = None,
    project: Project | None = None,
) -> Fingerprint:
    """Return what a function, a step or another callable is made of.

    Everything of the project that it reaches counts by what it does; distributions count by
    version, and Python by its minor version. Names, layout, comments and docstrings do not.
    Modules that are imported in the body of a reached function are imported.

    Args:
        fn: a function, step, class, bound method, partial or callable object.
        extra: more functions, classes, modules, files or folders that it depends on; paths are
            relative to the project's root.
        hash_value: gives the digest of a value of a type that is not Python's own, or raises.
        project: decides whose code is whose; by default that of the current folder.

    Raises:
        Invalid: a file or folder of `extra` does not exist.

    >>> fingerprint(len).unknown
    ()
    """
    project = project or _project_of(Path.cwd())
    objects = [each for each in extra if not isinstance(each, str | Path | ModuleType)]
    declared = [each for each in extra if isinstance(each, str | Path | ModuleType)]
    files = files_of(declared, project)
    roots = (fn, *objects)
    key = tuple(map(id, roots))
    used = (roots, hash_value, project)
    known = _last.get(key)
    if known is not None and not files and known[0] == used and known[1].unchanged(encode_again):
        return known[2]
    with _lock:
        graph = Graph(project, hash_value)
        found = _result(graph, _walk(graph, roots), files)
        if not files:
            if len(_last) >= _CAPACITY:
                _last.pop(next(iter(_last)))
            _last[key] = (used, graph, found)
    return found


def _project_of(folder: Path) -> Project:
    if folder not in _projects:
        _projects[folder] = Project()
    return _projects[folder]


def _walk(graph: Graph, roots: tuple[Any, ...]) -> Node:
    """Fill the graph from its roots on."""
    root = graph.node("root", roots, "root", "")
    while graph.waiting:
        node = graph.waiting.popleft()
        fill(graph, node)
        if node is root:
            _name_step(roots[0], node)
    graph.seal()
    return root


def _name_step(fn: Any, root: Node) -> None:
    """Mark the step itself among the functions; another callable is a part of its own."""
    first = next((item for item in root.items if isinstance(item, Node)), None)
    if first is not None and first.kind == "function":
        first.kind = "step"
    root.name = getattr(fn, "__qualname__", type(fn).__qualname__) + " as called"


def _result(graph: Graph, root: Node, files: list[Part]) -> Fingerprint:
    nodes = list(graph.nodes.values())
    numbers = {id(node): b"#%d;" % number for number, node in enumerate(nodes)}
    names = _unique_names(nodes)
    owners = sorted(graph.owners.values(), key=lambda owner: owner.name)
    whole = [FORMAT, text(_PYTHON)]
    for node in nodes:
        whole += (item if isinstance(item, bytes) else numbers[id(item)] for item in node.items)
        whole.append(b"|")
    whole += [text(f"{owner.name} {owner.version}") for owner in owners]
    whole += [text(part.name) + text(part.digest) for part in files]
    parts = [_part(node, names) for node in nodes if node is not root or _is_part(root)]
    parts += [_versioned(owner.name, owner.version) for owner in owners]
    parts += [_versioned("python", _PYTHON), *files]
    ordered = tuple(sorted(parts, key=lambda part: part.name))
    return Fingerprint(ordered, tuple(sorted(graph.unknown)), digest_of(b"".join(whole)))


def _is_part(root: Node) -> bool:
    """Whether the callable itself says more than which function it is."""
    return sum(1 for item in root.items if isinstance(item, Node)) != 1 or len(root.items) > 3


def _unique_names(nodes: list[Node]) -> dict[int, str]:
    """Give each node a name of its own: functions and classes theirs, the rest numbered ones."""
    taken: dict[str, int] = {}
    names = {}
    for node in sorted(nodes, key=lambda node: node.kind in ("constant", "closure")):
        count = taken[node.name] = taken.get(node.name, 0) + 1
        names[id(node)] = node.name if count == 1 else f"{node.name}#{count}"
    return names


def _part(node: Node, names: dict[int, str]) -> Part:
    items = (i if isinstance(i, bytes) else text(names[id(i)]) for i in node.items)
    digest = digest_of(b"|".join(items))
    return Part(names[id(node)], node.kind, digest, node.source, node.where, node.shown)


def _versioned(name: str, version: str) -> Part:
    return Part(name, "distribution", digest_of(f"{name} {version}".encode()), value=version)
