"""Writing an artifact's stored bytes out of the store: verified, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from errno import EINVAL
from pathlib import Path

import click

from zenlib.artifacts.local import remove, remove_tree
from zenlib.cli.output import Output, silence
from zenlib.errors import Conflict, CorruptArtifact, Invalid, Unavailable, ZenlibError
from zenlib.serializers.base import Content
from zenlib.shelf import Shelf
from zenlib.textfiles import cannot
from zenlib.views import Artifact
from zenlib.wording import shown

_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+|^[. ]+|[. ]+$')
_ENDING = re.compile(r"\.\w{1,20}$")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


def get(out: Output, shelf: Shelf, artifact: Artifact, output: str | None, *, force: bool) -> None:
    """Write an artifact to a path, or print it.

    Raises:
        CorruptArtifact: stored bytes are missing or changed, or names lead out of the folder.
        Conflict: something is at the path already.
        Denied, Unavailable: it cannot be written.
    """
    content = checked(artifact)
    text = value_of(content)
    if output == "-" and out.json:
        raise click.UsageError("-o - and --json both want stdout: leave one out")
    if output == "-" and text is None:
        _print_file(shelf, artifact.name, content)
        return
    target = None
    if text is None or output not in (None, "-"):
        target = _target(artifact, content, output)
        write(shelf, content, target, force=force)
    told = {
        "name": artifact.name,
        "number": artifact.version,
        "digest": artifact.digest,
        "size_bytes": artifact.size_bytes,
        "path": None if target is None else str(target),
        "value": json.loads(text) if target is None and text is not None else None,
    }
    out.object(told, str(target) if target is not None else text)


def checked(artifact: Artifact) -> Content:
    """Return the content of an artifact whose record is as it was written.

    Raises:
        CorruptArtifact: it is not.
    """
    try:
        content = artifact.content
    except Invalid as error:
        raise CorruptArtifact(f"artifact {artifact.name!r}: {error}") from error
    if content.digest != artifact.digest:
        raise CorruptArtifact(
            f"the record of artifact {artifact.name!r} version {artifact.version} was changed: its "
            "content does not have the digest that was recorded; compute it again"
        )
    return content


def value_of(content: Content) -> str | None:
    """Return the JSON text of a value that lies in the record; None if its bytes are in files."""
    if content.files or content.parts:
        return None
    if content.serializer == "json" and isinstance(content.data, str):
        return content.data
    return json.dumps(content.to_json())


def _print_file(shelf: Shelf, name: str, content: Content) -> None:
    if len(content.files) != 1 or content.parts:
        raise click.UsageError(f"artifact {name!r} is no single file: give -o PATH")
    (file,) = content.files.values()
    path = shelf.blobs.path(file.digest)
    sys.stdout.flush()
    with path.open("rb") as source:
        try:
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except OSError as error:
            silence(sys.stdout)
            if isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == EINVAL):
                return  # nobody reads any more
            raise Unavailable(f"cannot write to standard output: {error.strerror}") from error


# Where to.


def _target(artifact: Artifact, content: Content, output: str | None) -> Path:
    suffix = _suffix(content)
    name = _file_name(artifact.name.removesuffix(suffix)) + suffix
    if output is None:
        return Path(name)
    if "\0" in output:
        raise Invalid(f"not a path: {shown(output)}")
    path = Path(output)
    return path / name if path.is_dir() else path


def _file_name(name: str) -> str:
    """Return a name that is one on every file system, for an artifact of any name."""
    text = _UNFIT.sub("_", name)[:100].encode("utf-8", "replace").decode("utf-8")
    while len(text.encode()) > 150:
        text = text[:-1]
    return f"_{text}" if _DEVICES.match(text) else text or "artifact"


def _suffix(content: Content) -> str:
    """Return what the name of the written file should end with; nothing for a folder."""
    if content.serializer == "path":
        name = content.data.get("name") if "file" in content.data else ""
    elif value_of(content) is not None:
        name = "value.json"
    else:
        name = next(iter(content.files)) if _is_one_file(content) else ""
    found = _ENDING.search(name) if isinstance(name, str) else None
    return found[0] if found else ""


def _is_one_file(content: Content) -> bool:
    return len(content.files) == 1 and not content.parts


# Writing.


def write(shelf: Shelf, content: Content, target: Path, *, force: bool) -> None:
    """Write a content to `target`, all of it or nothing."""
    if os.path.lexists(target) and (not force or (target.is_dir() and not target.is_symlink())):
        hint = "; a folder is never replaced" if target.is_dir() else "; --force replaces it"
        raise Conflict(f"{target} exists already{hint}, or give another -o PATH")
    with _beside(target) as new:
        try:
            _write(shelf, content, new)
            if force:
                new.replace(target)
            else:
                _publish(new, target)
        except ZenlibError:
            raise
        except FileExistsError as error:
            raise Conflict(f"{target} exists already; give another -o PATH") from error
        except OSError as error:
            raise cannot("write", target, error) from error


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a new name in the same folder; whatever is still there at the end is removed."""
    new = target.with_name(f".{secrets.token_hex(8)}.new")
    try:
        yield new
    finally:
        remove_tree(new) if new.is_dir() else remove(new)


def _publish(new: Path, target: Path) -> None:
    """Give what is finished its name, unless somebody else took the name meanwhile."""
    if not new.is_dir():
        try:
            os.link(new, target)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            pass
    new.rename(target)


def _write(shelf: Shelf, content: Content, target: Path) -> None:
    text = value_of(content)
    if text is not None:
        target.write_text(text + "\n", "utf-8")
    elif content.serializer == "path":
        _copy_path(shelf, content, target)
    elif _is_one_file(content):
        (file,) = content.files.values()
        shutil.copyfile(shelf.blobs.path(file.digest), target)
    else:
        _write_folder(shelf, content, target)


def _copy_path(shelf: Shelf, content: Content, target: Path) -> None:
    """Copy a stored file or folder; its serializer verifies it and refuses names that lead out."""
    found: Path = shelf.load(content)
    if found.is_file():
        shutil.copyfile(found, target)
        target.chmod(0o755 if os.access(found, os.X_OK) else 0o644)
        return
    shutil.copytree(found, target)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _write_folder(shelf: Shelf, content: Content, target: Path) -> None:
    """Write each file under its name, each part under its number, and how they belong together."""
    target.mkdir()
    for name, file in content.files.items():
        path = target.joinpath(*_safe(name))
        blob = shelf.blobs.path(file.digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            taken = os.path.lexists(path)
        except (FileExistsError, NotADirectoryError):
            taken = True
        if taken:
            raise CorruptArtifact(f"two files of a stored value have the name {shown(name)}")
        shutil.copyfile(blob, path)
    for place, part in enumerate(content.parts):
        _write(shelf, part, target / f"{place}{_suffix(part)}")
    (target / "zenlib.json").write_text(json.dumps(content.to_json(), indent=1), "utf-8")


def _safe(name: str) -> list[str]:
    """Return the parts of the name of a stored file.

    Raises:
        CorruptArtifact: it leads out of the folder, or is no name on some system.
    """
    parts = name.split("/")
    for part in parts:
        if not part or len(part) > 200 or _UNFIT.search(part) or _DEVICES.match(part):
            raise CorruptArtifact(f"a stored value has a file named {shown(name)}, refused")
    return parts
