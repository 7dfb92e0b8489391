"""The content of a file or of a folder, for steps that give back a `pathlib.Path`."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zenlib import values
from zenlib.errors import Conflict, CorruptArtifact, Invalid, NotSerializable
from zenlib.serializers.base import Content, Reader, Serializer, Writer


class PathContent(Serializer):
    """Keeps what lies at a path: a file, or a folder with all that is in it.

    Names, content and the right to execute are kept; times, owners and other rights are not. A
    loaded path leads to a read-only copy with the same last name, which lives as long as the
    process. Equal files of a folder are stored once.
    """

    name = "path"

    def fits(self, value: object) -> bool:
        """Whether it is a path of this machine."""
        return type(value) is type(Path())

    def dump(self, value: Any, writer: Writer) -> Any:
        """Store the file, or each file of the folder."""
        name = value.name or value.resolve().name or "root"
        mode = _mode(value)
        if stat.S_ISREG(mode):
            writer.add("0", value)
            return {"name": values.encode(name), "file": _executable(mode)}
        members: list[Any] = []
        folders: list[Any] = []
        for relative, member_mode in _walk(value):
            encoded = values.encode(relative)
            if stat.S_ISDIR(member_mode):
                folders.append(encoded)
                continue
            writer.add(str(len(members)), value / relative)
            members.append([encoded, _executable(member_mode)])
        writer.describe(files=len(members))
        return {"name": values.encode(name), "folders": folders, "members": members}

    def load(self, content: Content, reader: Reader) -> Any:
        """Copy the content to a new folder, read-only, and return the path of the copy."""
        name, folders, members = _layout(content.data)
        top = reader.folder() / _safe(name)[0]
        if members is None:
            _copy(reader.path("0"), top, bool(content.data["file"]))
            return top
        top.mkdir()
        for folder in folders:
            _make_folder(top.joinpath(*_safe(folder)))
        for number, (relative, executable) in enumerate(members):
            _copy(reader.path(str(number)), top.joinpath(*_safe(relative)), executable)
        for folder in (*folders, ""):
            top.joinpath(*(_safe(folder) if folder else ())).chmod(0o500)
        return top


def _mode(path: Path) -> int:
    try:
        mode = path.stat(follow_symlinks=False).st_mode
    except OSError as error:
        raise NotSerializable(f"the Path {path} cannot be read: {error.strerror}") from error
    if stat.S_ISLNK(mode):
        raise NotSerializable(
            f"{path} is a symbolic link, whose target may change; return the target itself "
            "(path.resolve())"
        )
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise NotSerializable(f"{path} is neither a file nor a folder")
    return mode


def _executable(mode: int) -> bool:
    return os.name == "posix" and bool(mode & stat.S_IXUSR)


def _walk(top: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """Yield the relative name, with `/`, and the mode of everything in a folder, sorted."""
    folder = top / below
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise NotSerializable(f"the folder {folder} cannot be read: {error.strerror}") from error
    for name in names:
        mode = _mode(folder / name)
        relative = f"{below}/{name}" if below else name
        yield relative, mode
        if stat.S_ISDIR(mode):
            yield from _walk(top, relative)


def _layout(data: Any) -> tuple[str, list[str], list[tuple[str, bool]] | None]:
    try:
        name = values.decode(data["name"])
        if "file" in data:
            return name, [], None
        folders = [values.decode(folder) for folder in data["folders"]]
        return name, folders, [(values.decode(n), bool(x)) for n, x in data["members"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"not the record of a file or folder: {error}") from error


def _safe(name: str) -> tuple[str, ...]:
    """Return the parts of a relative name that stays inside its folder, on this system."""
    parts = tuple(name.split("/")) if isinstance(name, str) else ("",)
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise CorruptArtifact(f"a stored folder has a member named {name!r:.200}, refused")
        if os.name == "nt" and (set(part) & set('\\:*?"<>|') or part[-1] in ". "):
            raise Invalid(f"the stored file name {name!r:.200} is no name on Windows")
    return parts


def _make_folder(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError as error:
        raise _twin(path) from error


def _copy(source: Path, target: Path, executable: bool) -> None:
    if os.path.lexists(target):
        raise _twin(target)
    shutil.copyfile(source, target)
    target.chmod(0o500 if executable else 0o400)


def _twin(path: Path) -> Conflict:
    return Conflict(
        f"{path} exists already: two names of the stored folder are one name on this file system"
    )
