"""Reading configuration files: `zenlib.toml`, `[tool.zenlib]` of `pyproject.toml`, `config.toml`."""

from __future__ import annotations

import re
import subprocess
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zenlib import places, secrets
from zenlib.errors import SettingsInvalid, ZenlibWarning
from zenlib.settings.component import read_component
from zenlib.settings.fields import COMPONENTS, FIELDS, check_name, read_simple, unknown_key
from zenlib.settings.layers import Setting, component_settings
from zenlib.wording import nearest, shown

Key = tuple[str, ...]
_TOP = ("stack", "stacks")
_MAX_BYTES = 1 << 20
_MAY_END = re.compile(r"""^\s*[\]}]|[\]}]\s*$|[\]}].*\#|\"{3}|'{3}""")


@dataclass(frozen=True)
class SettingsFile:
    """A configuration file as it was read.

    Attributes:
        table: what it says, or its `[tool.zenlib]`.
        prefix: where that table lies in the file.
        lines: key -> line.
        shadowed: a file in the same folder that is not read because of this one.
    """

    path: Path
    table: dict[str, Any]
    prefix: Key = ()
    lines: dict[Key, int] = field(default_factory=dict)
    shadowed: Path | None = None

    def place(self, *key: str) -> str:
        """Return `file:line` of a key, or of the nearest table around it."""
        whole = self.prefix + key
        for size in range(len(whole), 0, -1):
            if whole[:size] in self.lines:
                return f"{self.path}:{self.lines[whole[:size]]}"
        return f"{self.path}:1"

    @property
    def active(self) -> str | None:
        """The stack that the file makes the active one."""
        return self.table.get("stack")

    @property
    def stacks(self) -> dict[str, dict[str, Any]]:
        """The stacks that the file describes."""
        found: dict[str, dict[str, Any]] = self.table.get("stacks", {})
        return found

    def settings(self, stack: str) -> list[Setting]:
        """Return what the file says of one stack.

        Raises:
            SettingsInvalid: a value that the field cannot have; the message says file and line.
        """
        found: list[Setting] = []
        for name, raw in self.stacks.get(stack, {}).items():
            key = ("stacks", stack, name)
            try:
                if name in COMPONENTS:
                    parts = read_component(name, raw, self.path.parent)
                    found += [
                        each._replace(source=self.place(*key, *each.key[1:]))
                        for each in component_settings(name, parts, "")
                    ]
                else:
                    found.append(Setting((name,), read_simple(name, raw), self.place(*key)))
            except SettingsInvalid as error:
                raise SettingsInvalid(f"{self.place(*key)}: {error}") from error
        return found


def read_text(path: Path) -> str:
    """Return the text of a configuration file, its line ends as they are.

    Raises:
        SettingsInvalid: a folder, not readable, not UTF-8, or too large.
    """
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise SettingsInvalid(f"{path} is a folder; it must be a TOML file") from error
    except OSError as error:
        if path.is_dir():  # Windows says "permission denied"
            raise SettingsInvalid(f"{path} is a folder; it must be a TOML file") from error
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise SettingsInvalid(f"{path} has {len(data)} bytes; settings have {_MAX_BYTES} at most")
    try:
        return data.decode("utf-8-sig")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsInvalid(f"{path}:{line}: not UTF-8; save the file as UTF-8") from error


def parse(path: Path, text: str, prefix: Key = ()) -> SettingsFile | None:
    """Return a configuration file from its text; None when it has no table `prefix`.

    Raises:
        SettingsInvalid: not TOML, unknown keys or values of the wrong kind, with file and line.
    """
    try:
        whole = table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsInvalid(_toml_words(path, text, str(error))) from error
    for part in prefix:
        table = table.get(part, {})
        if not isinstance(table, dict):
            raise SettingsInvalid(f"{path}: [{'.'.join(prefix)}] must be a table")
    if prefix and not table and "zenlib" not in whole.get("tool", {}):
        return None
    file = SettingsFile(path, table, prefix, _lines_of(text))
    _check(file)
    return file


def _toml_words(path: Path, text: str, message: str) -> str:
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(found[1]) if found and found[1] else max(1, len(text.splitlines()))
    return f"{path}:{line}: not valid TOML: {message[: found.start()] if found else message}"


def _lines_of(text: str) -> dict[Key, int]:
    """Return the line of every key and table of a valid TOML text."""
    found: dict[Key, int] = {}
    implied: dict[Key, int] = {}
    for key, line in _scan_lines(text):
        found[key] = line
        for size in range(1, len(key)):
            implied.setdefault(key[:size], line)
    return {**implied, **found}


def _scan_lines(text: str) -> Iterator[tuple[Key, int]]:
    """Yield each key with its line: a statement ends where it first parses."""
    lines = text.replace("\r\n", "\n").split("\n")
    table: Key = ()
    at = 0
    while at < len(lines):
        data, size = _statement(lines, at)
        keys = list(_keys(data))
        if lines[at].lstrip().startswith("[") and keys:
            table = keys[-1]
            yield table, at + 1
        else:
            for key in keys:
                yield table + key, at + 1
        at += size


def _statement(lines: list[str], at: int) -> tuple[dict[str, Any], int]:
    """Return what the statement that starts at a line says, and how many lines it has."""
    for size in range(1, len(lines) - at + 1):
        last = lines[at + size - 1]
        # Only where a statement can end: trying each line of a long array would take for ever.
        if size == 1 or _MAY_END.search(last):
            data = _parsed("\n".join(lines[at : at + size]))
            if data is not None:
                return data, size
    return {}, 1


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _keys(data: Mapping[str, Any]) -> Iterator[Key]:
    for name, value in data.items():
        yield (name,)
        if isinstance(value, Mapping):
            for rest in _keys(value):
                yield (name, *rest)
        elif isinstance(value, list) and value == [{}]:
            continue


def _check(file: SettingsFile) -> None:
    for key, value in file.table.items():
        if key not in _TOP:
            raise SettingsInvalid(f"{file.place(key)}: {_misplaced(key)}")
        if key == "stack" and isinstance(value, dict):
            name = next(iter(value), "NAME")
            raise SettingsInvalid(
                f"{file.place(key)}: 'stack' is the name of the active stack; "
                f"did you mean [stacks.{name}]?"
            )
        if key == "stack":
            _named(file, value, key)
    stacks = file.table.get("stacks", {})
    if not isinstance(stacks, dict):
        raise SettingsInvalid(f"{file.place('stacks')}: 'stacks' must hold tables: [stacks.NAME]")
    for name, fields in stacks.items():
        _named(file, name, "stacks", name)
        if not isinstance(fields, dict):
            raise SettingsInvalid(
                f"{file.place('stacks', name)}: stacks.{name} is {shown(fields)}; "
                f"it must be a table: [stacks.{name}]"
            )
        for key in fields:
            if key not in FIELDS:
                words = unknown_key(key, FIELDS)
                raise SettingsInvalid(f"{file.place('stacks', name, key)}: {words}")
        file.settings(name)


def _misplaced(key: str) -> str:
    if key in FIELDS:
        return f"{key!r} belongs to a stack; put it below [stacks.NAME]"
    if close := nearest(key, [*_TOP, *FIELDS]):
        return f"unknown key {shown(key)}{close}"
    return unknown_key(key, _TOP)


def _named(file: SettingsFile, name: object, *key: str) -> None:
    try:
        check_name(name)
    except SettingsInvalid as error:
        raise SettingsInvalid(f"{file.place(*key)}: {error}") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def read_file(path: Path) -> SettingsFile | None:
    """Read one configuration file; None when there is none, or no `[tool.zenlib]` in it.

    Raises:
        SettingsInvalid: it is there and wrong.
    """
    if not _exists(path):
        return None
    if path.name != "pyproject.toml":
        return parse(path, read_text(path))
    # Other tools' files are none of our business, broken or not.
    if not path.is_file() or b"zenlib" not in path.read_bytes():
        return None
    return parse(path, read_text(path), ("tool", "zenlib"))


def project_file(start: Path | None = None) -> SettingsFile | None:
    """Return the nearest `zenlib.toml` or `pyproject.toml` with `[tool.zenlib]`, going upward.

    Where a folder has both, `zenlib.toml` is read and the other is not.

    Raises:
        SettingsInvalid: it is there and wrong.
    """
    for folder in places.upward(start):
        pyproject = folder / "pyproject.toml"
        if _exists(folder / places.PROJECT_FILE):
            file = read_file(folder / places.PROJECT_FILE)
            assert file is not None
            both = _has_table(pyproject)
            return SettingsFile(
                file.path, file.table, file.prefix, file.lines, pyproject if both else None
            )
        if (file := read_file(pyproject)) is not None:
            return file
    return None


def _has_table(pyproject: Path) -> bool:
    try:
        data = tomllib.loads(pyproject.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return False
    return "zenlib" in data.get("tool", {})


def warn_of_passwords(file: SettingsFile, stack: str) -> None:
    """Warn when a password stands in a file that git keeps for everybody to read."""
    for setting in file.settings(stack):
        named = len(setting.key) == 1 and setting.key[0] in COMPONENTS
        texts = [setting.value[1]] if named else [setting.value] if len(setting.key) == 2 else []
        key = setting.key[-1] if not named else ""
        if any(t is not None and secrets.mask_all(t, key) != t for t in texts) and _tracked(
            file.path
        ):
            warnings.warn(
                f"{setting.source}: a password stands in a file that git tracks; "
                "change it, and write ${env:NAME} or ${secret:name} in its place",
                ZenlibWarning,
                stacklevel=2,
            )


def _tracked(path: Path) -> bool:
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "--error-unmatch", "--", path.name]
    try:
        done = subprocess.run(
            command,
            cwd=path.parent,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def configuration_files(start: Path | None = None) -> list[SettingsFile]:
    """Return the files that count, strongest first: the project's, then the user's.

    Raises:
        SettingsInvalid: one of them is wrong.
    """
    found = (project_file(start), read_file(places.user_file()))
    return [file for file in found if file is not None]
