"""From `train.py:training` to the pipeline: the file is imported, not run as a script."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from zenlib.cli import failures
from zenlib.errors import Invalid, ZenlibError
from zenlib.pipelines import Pipeline
from zenlib.wording import nearest, shown

_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def split(target: str) -> tuple[str, str]:
    """Return the file (or module) and the pipeline of `FILE[:PIPELINE]`.

    >>> split("train.py:training"), split("pkg.train"), split("C:/code/train.py")
    (('train.py', 'training'), ('pkg.train', ''), ('C:/code/train.py', ''))
    """
    file, mark, name = target.partition(".py:")
    if mark:
        return file + ".py", name
    if target.endswith(".py"):
        return target, ""
    file, _, name = target.partition(":")
    return file, name


def find(target: str) -> Pipeline[..., Any]:
    """Import a file or module and return the pipeline that is meant.

    Raises:
        Invalid: there is no such file, it cannot be imported, or it has no such pipeline.
    """
    where, name = split(target)
    return _choose(load(where), name, where)


def load(where: str) -> ModuleType:
    """Import a file under its own name, its folder first on `sys.path`; or a module by its name.

    So a step has one name everywhere: here, in worker processes, and where it is imported. What
    stands below `if __name__ == "__main__"` does not run.

    Raises:
        Invalid: there is none, or its import fails; the message shows the user's own lines.
    """
    path = Path(where)
    if not where.endswith(".py") and _MODULE.fullmatch(where) and not path.is_file():
        _put_first(Path.cwd())
        with told(f"module {where} cannot be imported"):
            return _module(where)
    _check_file(path, where)
    path = path.resolve()
    _put_first(path.parent)
    with told(f"{where} cannot be imported"):
        return _file(path)


def _check_file(path: Path, where: str) -> None:
    problem = f"there is no file {shown(where)}"
    try:
        if path.is_file() and path.suffix == ".py":
            return
        if path.is_dir():
            problem = f"{shown(where)} is a folder"
        elif path.exists():
            problem = f"{shown(where)} is no Python file: its name must end with .py"
        else:
            problem += nearest(path.name, [each.name for each in path.parent.glob("*.py")])
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise Invalid(problem)


def _put_first(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _module(name: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        last = name.rpartition(".")[2]
        raise Invalid(f"there is no module {name!r}; for a file write {last}.py")
    return importlib.import_module(name)


def _file(path: Path) -> ModuleType:
    name = path.stem
    if "." in name:  # no import finds it by this name; workers get its steps by value
        return _by_path(name, path)
    known = sys.modules.get(name)
    found = known or importlib.import_module(name)
    if not _is_file(found, path):
        other = getattr(found, "__file__", None) or "built in"
        raise Invalid(f"{path.name} has the name of another module ({other}); rename the file")
    return found


def _is_file(module: ModuleType, path: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path


def _by_path(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises inside into one error that shows the user's own lines.

    Raises:
        Invalid: `what`, the lines and the error. One of zenlib's own errors keeps its words.
    """
    try:
        yield
    except ZenlibError as error:
        for row in failures.rows(failures.of_error(error)):
            error.add_note(row)
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code raises anything
        _tell(what, error)


def _tell(what: str, error: BaseException) -> NoReturn:
    lines = [*failures.rows(failures.of_error(error)), failures.words(*_said(error))]
    if isinstance(error, SystemExit):
        lines.append('what only a script does belongs below: if __name__ == "__main__"')
    raise Invalid("\n".join([what, *lines])) from error


def _said(error: BaseException) -> tuple[str, str]:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return type(error).__name__, message


def _choose(module: ModuleType, name: str, where: str) -> Pipeline[..., Any]:
    named = {
        attribute: found for attribute, found in vars(module).items() if isinstance(found, Pipeline)
    }
    own = {n: found for n, found in named.items() if found.__module__ == module.__name__}
    if name:
        by_name = {found.name: found for found in named.values()}
        chosen = named.get(name) or by_name.get(name)
        if chosen is None:
            known = dict.fromkeys((*own, *named))
            listed = f"; it has {', '.join(known)}" if known else "; it has none"
            raise Invalid(f"{where} has no pipeline {shown(name)}{nearest(name, known)}{listed}")
        return chosen
    several = {id(found): found for found in (own or named).values()}
    if len(several) == 1:
        return next(iter(several.values()))
    if not several:
        raise Invalid(f"{where} has no pipeline: decorate a function with @pipeline")
    names = list(own or named)
    raise Invalid(
        f"{where} has several pipelines, so name one: {where}:{names[0]} ({_list(names)})"
    )


def _list(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def names_in(source: str) -> list[str]:
    """Return the names of the pipelines in a file's text, without running any of it.

    >>> names_in("@pipeline(tags=['a'])" + chr(10) + "def training(): ...")
    ['training']
    """
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and any(map(_is_pipeline, node.decorator_list))
    ]


def _is_pipeline(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "pipeline"
