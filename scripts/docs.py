"""Write the reference parts of the documentation from the code: settings, commands, errors, names.

    python scripts/docs.py            writes them
    python scripts/docs.py --check    fails when one is out of date

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import zenlib
from zenlib import errors, registry
from zenlib.cli.frame import EXIT_CODES
from zenlib.cli.main import cli
from zenlib.settings import environment, fields
from zenlib.settings.layers import default_settings

DOCS = Path(__file__).parent.parent / "docs"
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)

MEANINGS = {
    "metadata_store": "Where history is kept.",
    "artifact_store": "Where the bytes of artifacts are kept.",
    "orchestrator": "Where steps run.",
    "cache": "Whether results of earlier runs may be used.",
    "pickle": "Whose pickled artifacts are opened: this user's, nobody's, everybody's.",
    "durability": "When results are forced to the disk: once per run, or after each step.",
}
"""What each setting is for."""

RETURNED = (
    ("zenlib.views", "StepResult"),
    ("zenlib.views", "Several"),
    ("zenlib.running", "RunnablePlan"),
    ("zenlib.running", "RunHandle"),
    ("zenlib.foresight", "PlanExplanation"),
    ("zenlib.explain", "Why"),
    ("zenlib.comparison", "Comparison"),
)
"""Classes that people meet without importing them."""


def settings() -> Iterator[str]:
    """Yield the table of settings, then those of the variables and of the adapters."""
    defaults = {s.key[0]: s.value for s in default_settings()}
    yield "| setting | values | default | variable | what it is for |"
    yield "|---|---|---|---|---|"
    for name in fields.FIELDS:
        value = defaults[name]
        default = value[0] if name in fields.COMPONENTS else str(value).lower()
        yield (
            f"| `{name}` | {_values(name)} | `{default}` | `{environment.PREFIX}{name.upper()}` "
            f"| {MEANINGS[name]} |"
        )
    yield ""
    yield "An option of a component has a variable with two underscores: "
    yield "`ZENLIB_ORCHESTRATOR__WORKERS=4`. Further variables:"
    yield ""
    yield "| variable | meaning |"
    yield "|---|---|"
    for name, meaning in environment.OTHERS.items():
        yield f"| `{name}` | {meaning} |"
    yield "| `ZENLIB_SECRET_NAME` | the secret `name`, instead of the one in the keyring |"
    yield ""
    yield "| component | types |"
    yield "|---|---|"
    for name, kind in fields.COMPONENTS.items():
        types = ", ".join(f"`{known}`" for known in registry.BUILTIN[kind])
        yield f"| `{name}` | {types} |"
    yield ""
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for name, kind in fields.COMPONENTS.items():
        for option, default, meaning in _options(kind):
            yield f"| `{name}.{option}` | {default} | {meaning} |"


def _values(name: str) -> str:
    if name in fields.COMPONENTS:
        return "a URL, a path, a type or a table" if name != "orchestrator" else "a type or a table"
    choices = fields._CHOICES.get(name, ("true", "false"))
    return ", ".join(f"`{choice}`" for choice in choices)


def _options(kind: str) -> Iterator[tuple[str, str, str]]:
    """Yield the options of the adapters that take any by name."""
    for type_ in dict.fromkeys(registry.BUILTIN[kind]):
        if kind != "orchestrators":
            continue
        adapter = registry.find(kind, type_)
        meanings = _entries(inspect.getdoc(adapter) or "", "Args:")
        for name, parameter in inspect.signature(adapter).parameters.items():
            default = "" if parameter.default is None else f"`{parameter.default}`"
            yield name, default, meanings.get(name, "")


def commands() -> Iterator[str]:
    """Yield a section for each command."""
    yield from _command(cli, "zenlib")


def _command(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"## `{path}`"
    yield ""
    text = inspect.cleandoc(command.help or "")
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield "```text"
            yield paragraph.removeprefix("\b\n")
            yield "```"
        else:
            yield paragraph
        yield ""
    usage = " ".join(command.collect_usage_pieces(context))
    yield "```text"
    yield f"{path} {usage}"
    yield "```"
    yield ""
    rows = [_option(param, context) for param in command.params if _is_own(param, command)]
    if rows:
        yield "| option | meaning |"
        yield "|---|---|"
        yield from rows
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, f"{path} {name}")


def _is_own(param: click.Parameter, command: click.Command) -> bool:
    common = {"--json", "--full-traceback"}
    return isinstance(param, click.Option) and (command is cli or not common & set(param.opts))


def _option(param: click.Parameter, context: click.Context) -> str:
    assert isinstance(param, click.Option)
    names, words = param.get_help_record(context) or ("", "")
    return f"| `{_cell(names)}` | {_cell(words)} |"


def _cell(text: str) -> str:
    """Return a text as it may stand in a table."""
    return " ".join(text.replace("|", "\\|").split())


def exit_codes() -> Iterator[str]:
    """Yield the table of exit codes."""
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code} | {meaning} |"


def error_classes() -> Iterator[str]:
    """Yield the table of errors, each below its base class."""
    found = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    yield "| error | is a | code | exit | what happened, and what to do |"
    yield "|---|---|---|---|---|"
    for kind in found:
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        code = f"`{kind.code}`" if hasattr(kind, "code") else ""
        number = getattr(kind, "exit_code", "")
        words = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        yield f"| `{kind.__name__}` | {bases} | {code} | {number} | {words} |"


def names() -> Iterator[str]:
    """Yield a section for each public name, then for the classes that those return."""
    for name in zenlib.__all__:
        if name == "__version__":
            yield from (f"## `{name}`", "", "The version, as a text.", "")
        else:
            yield from _described(name, getattr(zenlib, name))
    yield "# What they return"
    yield ""
    for module, name in RETURNED:
        yield from _described(name, getattr(import_module(module), name))


def _described(name: str, value: Any) -> Iterator[str]:
    decorator = "@" if name in ("step", "pipeline") else ""
    yield f"## `{decorator}{name}`"
    yield ""
    yield from _prose(inspect.getdoc(value) or "")
    if not isinstance(value, type) or issubclass(value, Exception):
        return
    members = [*_members(value)]
    if members:
        yield "| member | |"
        yield "|---|---|"
        yield from members
        yield ""


def _members(kind: type) -> Iterator[str]:
    for base in reversed([base for base in kind.__mro__ if base.__module__.startswith("zenlib")]):
        for name, member in vars(base).items():
            function = member.__func__ if isinstance(member, classmethod) else member
            is_property = isinstance(member, property | cached_property)
            if name.startswith("_") or not (is_property or inspect.isfunction(function)):
                continue
            if name == "settings_customise_sources" or getattr(kind, name, None) is None:
                continue
            words = " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split())
            shown = name if is_property else f"{name}({_arguments(function)})"
            yield f"| `{shown}` | {words} |"


_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def _arguments(function: Callable[..., Any]) -> str:
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("self", "cls"):
            continue
        star = _STARS.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        shown.append(f"{star}{name}{default}")
    return ", ".join(shown)


_SECTIONS = {"Args:": "Parameters", "Attributes:": "Attributes", "Raises:": "Raises"}


def _prose(text: str) -> Iterator[str]:
    """Yield a docstring as Markdown: its sections as lists, its examples left out."""
    for block in re.split(r"\n\n", text):
        first = block.partition("\n")[0]
        if first.startswith(">>>"):
            continue
        if first in _SECTIONS:
            yield f"{_SECTIONS[first]}:"
            yield ""
            for name, words in _entries(block, first).items():
                yield f"- `{name}`: {words}"
        elif first.startswith("    "):
            yield "```text"
            yield inspect.cleandoc(block)
            yield "```"
        else:
            yield block
        yield ""


def _entries(text: str, section: str) -> dict[str, str]:
    """Return the entries of one section of a docstring."""
    found: dict[str, str] = {}
    body = text.partition(section + "\n")[2].partition("\n\n")[0]
    for line in body.splitlines():
        entry = re.match(r"    ([\w, ]+): (.*)", line)
        if entry:
            found[entry[1]] = entry[2]
        elif found:
            found[[*found][-1]] += " " + line.strip()
    return found


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "commands": commands,
    "exit_codes": exit_codes,
    "errors": error_classes,
    "names": names,
}


def renewed(text: str) -> str:
    """Return a page with its generated parts written anew."""

    def write(found: re.Match[str]) -> str:
        lines = (line.rstrip() for line in PARTS[found[2]]())
        return found[1] + "\n".join(lines).strip("\n") + "\n" + found[3]

    return PART.sub(write, text)


def main() -> int:
    """Write the pages, or only say which are out of date."""
    assert set(MEANINGS) == set(fields.FIELDS), "MEANINGS must name every setting"
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        old = page.read_text("utf-8")
        new = renewed(old)
        if new != old:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(new, "utf-8", newline="\n")
    verb = "out of date, run python scripts/docs.py" if "--check" in sys.argv else "written"
    if stale:
        print(f"{', '.join(stale)}: {verb}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
