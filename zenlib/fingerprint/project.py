"""Whose code is it: the project's (followed), an installed distribution's (counted by version),
or Python's own (counted by Python's version)."""

from __future__ import annotations

import functools
import json
import re
import site
import sys
import sysconfig
import threading
from dataclasses import dataclass, field
from pathlib import Path

_SITE_NAMES = frozenset({"site-packages", "dist-packages"})
_MARKERS = ("pyproject.toml", "zenlib.toml", ".git")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a module.

    Attributes:
        name: the distribution's name; empty for the project and for Python itself.
        version: the distribution's version.
        followed: whether it is project code, whose meaning is looked into.
    """

    name: str = ""
    version: str = ""
    followed: bool = False


PROJECT = Owner(followed=True)
PYTHON = Owner()


@dataclass
class Project:
    """Decides what is project code: all that is neither Python's nor an installed distribution's.

    Attributes:
        root: the folder that places are given relative to, and that declared files start from.
    """

    root: Path = field(default_factory=lambda: find_root(Path.cwd()))

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._owners: dict[tuple[str, str], Owner] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def owner(self, module: str, file: str | None) -> Owner:
        """Return who owns the module of this name that was loaded from this file, if from any."""
        key = (module, file or "")
        known = self._owners.get(key)
        if known is None:
            known = self._find(module, file)
            with self._lock:
                self._owners[key] = known
        return known

    def owner_by_name(self, module: str) -> Owner:
        """Return who owns a module that may not be loaded yet, without loading it."""
        loaded = sys.modules.get(module)
        if loaded is not None:
            return self.owner(module, file_of_module(loaded))
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names:
            return PYTHON
        from importlib.util import find_spec

        try:
            spec = find_spec(top)
        except (ImportError, ValueError, AttributeError):
            return PROJECT
        if spec is None:
            return PROJECT
        origin = spec.origin if spec.has_location else None
        if origin is None and spec.submodule_search_locations:
            folders = list(spec.submodule_search_locations)
            origin = str(Path(folders[0], "__init__.py")) if folders else None
        return self.owner(top, origin)

    def place(self, file: str, module: str = "") -> str:
        """Return a file's path relative to the root, or to the folder its package lies in."""
        key = (file, module)
        if key not in self._places:
            self._places[key] = self._place(file, module)
        return self._places[key]

    def _place(self, file: str, module: str) -> str:
        path = Path(file)
        if not path.is_absolute():
            return path.as_posix()
        for base in (self.root, _package_base(path, module)):
            try:
                return path.resolve().relative_to(base.resolve()).as_posix()
            except (ValueError, OSError):
                continue
        return path.name

    def _find(self, module: str, file: str | None) -> Owner:
        top = module.partition(".")[0]
        if top == "zenlib" and file and Path(file).is_relative_to(_ZENLIB):
            from zenlib._version import __version__

            return Owner("zenlib", __version__)
        if not file or file.startswith("<"):
            known = top in sys.builtin_module_names or top in sys.stdlib_module_names
            return PYTHON if known else PROJECT
        path = Path(file)
        installed = not _SITE_NAMES.isdisjoint(path.parts) or _under(path, _site_folders())
        if not installed and _under(path, _python_folders()):
            return PYTHON
        return _distribution_of(_package_base(path, module), path, top, installed) or PROJECT


_ZENLIB = Path(__file__).parent.parent


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that marks a project, or `start` itself."""
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in _MARKERS):
            return folder
    return start


def file_of_module(module: object) -> str | None:
    """Return the file that a module was loaded from, or None."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return file
    try:  # a namespace package has folders instead
        folders = list(getattr(module, "__path__", ()))
    except TypeError:
        return None
    return str(Path(folders[0], "__init__.py")) if folders and isinstance(folders[0], str) else None


def _package_base(path: Path, module: str) -> Path:
    """The folder on `sys.path` that the module `module` was found in."""
    depth = module.count(".") + (path.stem == "__init__")
    return path.parents[min(depth, len(path.parents) - 1)]


def _under(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@functools.cache
def _python_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(Path(paths[name]) for name in ("stdlib", "platstdlib"))


@functools.cache
def _site_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"], site.getusersitepackages()]
    return tuple(Path(folder) for folder in folders)


@dataclass(frozen=True, slots=True)
class _Installed:
    """One `.dist-info` (or `.egg-info`) folder."""

    name: str
    version: str
    files: frozenset[str] | None
    """Relative paths of what it installed; None if it has no list."""
    tops: frozenset[str]
    editable: bool


_installed: dict[Path, list[Path]] = {}
_read: dict[Path, _Installed] = {}
_owners_of_files: dict[Path, dict[str, _Installed]] = {}


def _distribution_of(base: Path, path: Path, top: str, installed: bool) -> Owner | None:
    """The distribution in the folder `base` that installed the file `path`, if one did."""
    if base not in _installed:
        suffixes = (".dist-info", ".egg-info") if installed else (".dist-info",)
        try:
            found = sorted(p for p in base.iterdir() if p.name.endswith(suffixes))
        except OSError:
            found = []
        _installed[base] = found
    infos = _installed[base]
    relative = path.relative_to(base).as_posix()
    likely = [
        p for p in infos if _normal(p.name.partition("-")[0].partition(".")[0]) == _normal(top)
    ]
    for info in likely:
        dist = _information(info)
        if not dist.editable and (dist.files is None or relative in dist.files):
            return Owner(dist.name, dist.version)
    dist_or_none = _by_files(base, infos).get(relative) or _by_files(base, infos).get(top)
    return Owner(dist_or_none.name, dist_or_none.version) if dist_or_none else None


def _by_files(base: Path, infos: list[Path]) -> dict[str, _Installed]:
    if base not in _owners_of_files:
        owners: dict[str, _Installed] = {}
        for info in infos:
            dist = _information(info)
            if not dist.editable:
                listed = dist.files if dist.files is not None else dist.tops
                owners.update(dict.fromkeys(listed, dist))
        _owners_of_files[base] = owners
    return _owners_of_files[base]


def _information(info: Path) -> _Installed:
    if info not in _read:
        stem, _, version = info.name.rpartition(".")[0].partition("-")
        name = stem
        for line in _lines(info / "METADATA") or _lines(info / "PKG-INFO") or _lines(info):
            if not line:
                break
            key, _, value = line.partition(":")
            if key == "Name":
                name = value.strip()
            elif key == "Version":
                version = value.strip()
        record = _lines(info / "RECORD")
        files = frozenset(line.rsplit(",", 2)[0].strip('"') for line in record)
        tops = frozenset(_lines(info / "top_level.txt"))
        _read[info] = _Installed(name, version, files or None, tops, _is_editable(info))
    return _read[info]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _is_editable(info: Path) -> bool:
    try:
        data = json.loads((info / "direct_url.json").read_text(encoding="utf-8"))
        return bool(data.get("dir_info", {}).get("editable", False))
    except (OSError, ValueError, AttributeError):
        return False


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
