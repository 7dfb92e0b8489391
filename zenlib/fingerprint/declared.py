"""Files, folders and modules that the user declared as dependencies: they count by content."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from blake3 import blake3

from zenlib.errors import Invalid
from zenlib.fingerprint.parts import Part
from zenlib.fingerprint.project import Project, file_of_module
from zenlib.fingerprint.tokens import text
from zenlib.hashing import digest_of

_LEFT_OUT = frozenset({"__pycache__", ".git", ".ipynb_checkpoints"})


def files_of(declared: Sequence[ModuleType | Path | str], project: Project) -> list[Part]:
    """Return a part for each file that was declared, and for each file in a declared folder.

    Raises:
        Invalid: something declared does not exist.
    """
    parts: dict[str, Part] = {}
    for each in declared:
        found = _module(each, project) if isinstance(each, ModuleType) else _path(each, project)
        parts.update((part.name, part) for part in found)
    return [parts[name] for name in sorted(parts)]


def _path(declared: Path | str, project: Project) -> list[Part]:
    path = project.root / declared
    name = Path(declared).as_posix()
    if path.is_file():
        return [_file(path, name)]
    if not path.is_dir():
        raise Invalid(
            f"a declared dependency does not exist: {name} (looked for in {project.root}); "
            "correct `depends_on=` of the step, or create the file"
        )
    inside = [p for p in sorted(path.rglob("*")) if _LEFT_OUT.isdisjoint(p.parts) and p.is_file()]
    files = [_file(p, f"{name}/{p.relative_to(path).as_posix()}") for p in inside]
    return [Part(name, "file", digest_of(b"folder"), where=name), *files]


def _file(path: Path, name: str) -> Part:
    hasher = blake3()
    hasher.update_mmap(path)
    return Part(name, "file", f"b3:{hasher.hexdigest()}", where=name)


def _module(module: ModuleType, project: Project) -> list[Part]:
    """The source of a module, or of all modules in a package, without comments and layout."""
    file = file_of_module(module)
    owner = project.owner(module.__name__, file)
    if not owner.followed:
        return [
            Part(
                owner.name or module.__name__,
                "distribution",
                digest_of(text(owner.version)),
                value=owner.version,
            )
        ]
    if file is None:
        raise Invalid(
            f"the module {module.__name__} of `depends_on=` has no file; name its functions"
        )
    path = Path(file)
    if path.stem != "__init__":
        return [_source(path, module.__name__, project)]
    files = [p for p in sorted(path.parent.rglob("*.py")) if _LEFT_OUT.isdisjoint(p.parts)]
    base = path.parent
    return [
        _source(p, ".".join((module.__name__, *p.relative_to(base).with_suffix("").parts)), project)
        for p in files
    ]


def _source(path: Path, name: str, project: Project) -> Part:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Invalid(f"the source of the module {name} cannot be read: {error}") from error
    where = project.place(str(path), name)
    try:
        meaning = ast.dump(ast.parse(data)).encode()
        source = data.decode("utf-8-sig")
    except (SyntaxError, ValueError):
        meaning, source = data, ""
    return Part(f"module {name}", "file", digest_of(meaning), source, where)
