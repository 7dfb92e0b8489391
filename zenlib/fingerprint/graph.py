"""The objects that a step reaches, in the order in which they are reached.

Each function, class and value is a node that holds exact bytes and the nodes it refers to. Nodes
are numbered as they are found, starting at the step, so the digest of the whole graph needs no
names, and recursion and cycles are nothing special. What was looked up on the way is kept too:
as long as all of it is unchanged, so is the graph.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from zenlib.fingerprint.code import Skeleton, skeleton
from zenlib.fingerprint.project import Owner, Project
from zenlib.fingerprint.source import Normal, normal
from zenlib.hashing import Digest

MISSING: Any = object()
"""Stands for a name that is not defined, or a cell that is empty."""

HashValue = Callable[[object], Digest]


class Changed(Exception):
    """While a value is encoded again: it refers to something that it did not refer to before."""


class Node:
    """One function, class or value that the step reaches.

    Attributes:
        items: its meaning: bytes, and the nodes it refers to.
        fixed: whether it cannot change without something that was looked up changing.
    """

    __slots__ = ("fixed", "items", "kind", "name", "obj", "shown", "source", "where")

    def __init__(self, obj: object, kind: str, name: str) -> None:
        self.obj = obj
        self.kind = kind
        self.name = name
        self.items: list[bytes | Node] = []
        self.fixed = True
        self.source = ""
        self.where = ""
        self.shown = ""


class Graph:
    """Everything reached from the roots; `fill` is called once for each node."""

    def __init__(self, project: Project, hash_value: HashValue | None) -> None:
        self.project = project
        self.hash_value = hash_value
        self.nodes: dict[object, Node] = {}
        self.waiting: deque[Node] = deque()
        self.sealed = False
        self.unknown: dict[str, None] = {}
        self.owners: dict[str, Owner] = {}
        self.lookups: list[tuple[Mapping[str, Any], str, object]] = []
        self.attributes: list[tuple[ModuleType, str, object]] = []
        self.cells: list[tuple[CellType, object]] = []
        self.namespaces: list[tuple[Mapping[str, Any], list[object]]] = []
        self.mutable: list[Node] = []
        self.functions: list[tuple[FunctionType, CodeType, object, object]] = []

    def node(self, key: object, obj: object, kind: str, name: str) -> Node:
        """Return the node of this key, a new one to be filled if it is not known yet."""
        found = self.nodes.get(key)
        if found is None:
            if self.sealed:
                raise Changed
            found = self.nodes[key] = Node(obj, kind, name)
            self.waiting.append(found)
        return found

    def use(self, owner: Owner) -> None:
        """Count the distribution, if it is one."""
        if owner.name and owner.name not in self.owners:
            if self.sealed:
                raise Changed
            self.owners[owner.name] = owner

    def doubt(self, sentence: str) -> None:
        """Note something that could not be followed or hashed."""
        if not self.sealed:
            self.unknown[sentence] = None

    # what was looked up, so that it can be looked up again

    def look(self, names: Mapping[str, Any], name: str) -> Any:
        """Return what a name means in a namespace, or MISSING."""
        found = names.get(name, MISSING)
        if not self.sealed:
            self.lookups.append((names, name, found))
        return found

    def content(self, cell: CellType) -> Any:
        """Return what a closure's cell holds, or MISSING."""
        found = _content(cell)
        if not self.sealed:
            self.cells.append((cell, found))
        return found

    def watch(self, names: Mapping[str, Any]) -> None:
        """Remember which objects a namespace holds."""
        if self.sealed:
            return
        self.namespaces.append((names, list(names.values())))

    def watch_function(self, fn: FunctionType) -> None:
        """Remember what a function is made of."""
        if self.sealed:
            return
        self.functions.append((fn, fn.__code__, fn.__defaults__, fn.__kwdefaults__))
        if fn.__kwdefaults__:
            self.watch(fn.__kwdefaults__)
        self.watch(fn.__dict__)

    def unchanged(self, encode_again: Callable[[Graph, Node], Iterable[bytes | Node]]) -> bool:
        """Whether all that was looked up, and each value that can change, is what it was."""
        for names, name, was in self.lookups:
            if names.get(name, MISSING) is not was:
                return False
        for fn, code, defaults, kwdefaults in self.functions:
            same = fn.__code__ is code and fn.__defaults__ is defaults
            if not same or fn.__kwdefaults__ is not kwdefaults:
                return False
        for names, objects in self.namespaces:
            if len(names) != len(objects):
                return False
            if objects and not all(map(operator.is_, names.values(), objects)):
                return False
        if any(_content(cell) is not was for cell, was in self.cells):
            return False
        if any(getattr(module, name, MISSING) is not was for module, name, was in self.attributes):
            return False
        return self._values_unchanged(encode_again)

    def _values_unchanged(
        self, encode_again: Callable[[Graph, Node], Iterable[bytes | Node]]
    ) -> bool:
        try:
            return all(encode_again(self, n) == n.items for n in self.mutable)
        except Changed:
            return False

    def seal(self) -> None:
        """Declare the graph complete."""
        self.sealed = True
        self.mutable = [node for node in self.nodes.values() if not node.fixed]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


_CAPACITY = 50_000
_by_id: dict[int, tuple[CodeType, Normal, Skeleton]] = {}


def read(code: CodeType, names: dict[str, Any]) -> tuple[Normal, Skeleton]:
    """Return a code object without its layout and with its references left open."""
    known = _by_id.get(id(code))
    if known is not None and known[0] is code:
        return known[1], known[2]
    found = normal(code, names)
    holes = skeleton(found.code)
    if len(_by_id) >= _CAPACITY:
        _by_id.clear()
    _by_id[id(code)] = (code, found, holes)
    return found, holes
