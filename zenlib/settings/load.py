"""Finding a stack by its name, and telling where each of its values came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from zenlib.errors import SettingsInvalid
from zenlib.settings import environment, files
from zenlib.settings.fields import check_name
from zenlib.settings.files import SettingsFile
from zenlib.settings.layers import (
    ARGUMENT,
    DEFAULT,
    Explained,
    Merged,
    argument_settings,
    default_settings,
    merge,
)
from zenlib.settings.stack import Stack
from zenlib.wording import nearest, shown


@dataclasses.dataclass(frozen=True)
class _Found:
    """The files that count, strongest first, and the stack they and the environment select."""

    files: list[SettingsFile]
    stack: Explained
    others: list[Explained]


class StackInfo(NamedTuple):
    """A stack that some file describes, or the built-in one.

    Attributes:
        active: whether it is used when no other is asked for.
        source: `file:line`, or `default`.
        values: the stack's fields; adapters that are not installed here are named all the same.
    """

    name: str
    active: bool
    source: str
    values: dict[str, Any]


def _select(name: str | None, start: Path | None) -> _Found:
    """Read the files and choose the stack: argument, environment, project, user, default."""
    read = files.configuration_files(start)
    said: list[tuple[str, str]] = []
    if name is not None:
        said.append((check_name(name), ARGUMENT))
    if (variable := environment.environment_stack()) is not None:
        said.append((variable, f"environment {environment.STACK}"))
    said += [(file.active, file.place("stack")) for file in read if file.active is not None]
    said.append(("default", DEFAULT))
    (chosen, source), weaker = said[0], said[1:]
    known = {"default"}.union(*(file.stacks for file in read))
    if chosen not in known:
        raise SettingsInvalid(
            f"{source}: no stack is called {shown(chosen)}{nearest(chosen, known)}; "
            f"known: {', '.join(sorted(known))}"
        )
    note = f"overridden by {source}"
    others = [Explained("stack", *each, note) for each in weaker]
    return _Found(read, Explained("stack", chosen, source), others)


def _merge(
    found: _Found, start: Path | None, overrides: dict[str, Any], *, check: bool = True
) -> Merged:
    base = Path.cwd()
    layers = [
        default_settings(),
        *(file.settings(found.stack.value) for file in reversed(found.files)),
        environment.environment_settings(base),
        argument_settings(overrides, base),
    ]
    return merge(layers, start, check=check)


def load_stack(name: str | None = None, *, start: Path | None = None, **overrides: Any) -> Stack:
    """Return the stack of this name, or the active one, with all that was set.

    Args:
        name: of a stack in a configuration file; the active one when left out.
        start: the folder from which a project is looked for; the current one when left out.
        overrides: values of the stack's fields that win over all others; None means "not given".

    Raises:
        SettingsInvalid: a file, a variable or an argument is wrong, or no stack has the name.
    """
    found = _select(name, start)
    merged = _merge(found, start, overrides)
    for file in found.files:
        files.warn_of_passwords(file, found.stack.value)
    return Stack(name=found.stack.value, **merged.values)


def explain(
    name: str | None = None, *, start: Path | None = None, **overrides: Any
) -> list[Explained]:
    """Return each value of a stack with its place, then those that it overrides.

    Raises:
        SettingsInvalid: as `load_stack`.
    """
    found = _select(name, start)
    rows = [found.stack, *found.others, *_merge(found, start, overrides).explained]
    for file in found.files:
        if file.shadowed is not None:
            note = f"not read: {file.path} is beside it and wins"
            rows.append(Explained("[tool.zenlib]", "", str(file.shadowed), note))
    return rows


def stacks(start: Path | None = None) -> list[StackInfo]:
    """Return every stack that the files describe and the built-in `default`, by name.

    Raises:
        SettingsInvalid: a file or a variable is wrong.
    """
    found = _select(None, start)
    rows = []
    for name in sorted({"default"}.union(*(file.stacks for file in found.files))):
        at = [file.place("stacks", name) for file in found.files if name in file.stacks]
        chosen = dataclasses.replace(found, stack=Explained("stack", name, ARGUMENT))
        values = _merge(chosen, start, {}, check=False).values
        rows.append(StackInfo(name, name == found.stack.value, (*at, DEFAULT)[0], values))
    return rows
