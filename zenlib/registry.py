"""Names of adapters: built in, or from the entry points of installed packages; imported on use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from zenlib.errors import SettingsInvalid
from zenlib.wording import nearest, shown

_SQL = "zenlib.stores.sql:SqlStore"
_LOCAL = "zenlib.artifacts.local:LocalStore"
_FSSPEC = "zenlib.artifacts.fsspec:FsspecStore"

BUILTIN: dict[str, dict[str, str]] = {
    "metadata_stores": {
        "sqlite": _SQL,
        "mysql": _SQL,
        "memory": "zenlib.stores.memory:MemoryStore",
    },
    "artifact_stores": {
        "local": _LOCAL,
        "file": _LOCAL,
        "abfs": _FSSPEC,
        "az": _FSSPEC,
        "gcs": _FSSPEC,
        "gs": _FSSPEC,
        "memory": _FSSPEC,
        "s3": _FSSPEC,
    },
    "orchestrators": {"local": "zenlib.orchestrators.local:LocalOrchestrator"},
    "serializers": {},
}
"""Kind -> type or URL scheme -> `module:Class`."""

WORDS = {
    "metadata_stores": "metadata store",
    "artifact_stores": "artifact store",
    "orchestrators": "orchestrator",
    "serializers": "serializer",
}
"""Kind -> what one of it is called."""

_EXTRAS = {
    "numpy": "zenlib[numpy]",
    "pandas": "zenlib[pandas]",
    "polars": "zenlib[polars]",
    "pyarrow": "zenlib[arrow]",
    "skops": "zenlib[sklearn]",
    "sklearn": "zenlib[sklearn]",
}


def _plugins(kind: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"zenlib.{kind}"):
        found.setdefault(point.name, []).append(point)
    return found


def names(kind: str) -> list[str]:
    """Return the known names of a kind (`metadata_stores`, `orchestrators`, …), sorted.

    >>> names("metadata_stores")[:3]
    ['memory', 'mysql', 'sqlite']
    """
    return sorted({*BUILTIN[kind], *_plugins(kind)})


def scheme_type(name: str) -> str:
    """Return the adapter's name for a URL scheme: what follows `+` chooses a driver.

    >>> scheme_type("mysql+pymysql")
    'mysql'
    """
    return name.partition("+")[0]


def known(kind: str, name: str) -> bool:
    """Return whether there is an adapter of this name; it is not imported."""
    return name in BUILTIN[kind] or name in _plugins(kind)


def unknown(kind: str, name: str) -> SettingsInvalid:
    """Return the error to raise for a name that no adapter has."""
    have = names(kind)
    listed = ", ".join(have) or "none"
    text = f"no {WORDS[kind]} for {shown(name)}; known: {listed}"
    return SettingsInvalid(text + nearest(name, have))


def find(kind: str, name: str) -> type[Any]:
    """Return the adapter class for a type name or URL scheme, importing its module now.

    A built-in name is never taken over by an installed package.

    Raises:
        SettingsInvalid: no such name, two packages claim it, or a package must be installed.
    """
    name = scheme_type(name)
    target = BUILTIN[kind].get(name)
    if target is not None:
        return _load(kind, name, target)
    points = _plugins(kind).get(name, [])
    if not points:
        raise unknown(kind, name)
    if len({point.value for point in points}) > 1:
        owners = " and ".join(sorted(p.dist.name if p.dist else p.value for p in points))
        raise SettingsInvalid(f"two packages offer the {WORDS[kind]} {name!r}: {owners}; keep one")
    return _load(kind, name, points[0].value)


def _load(kind: str, name: str, target: str) -> type[Any]:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "zenlib"):
            raise
        package = _EXTRAS.get(missing, missing)
        raise SettingsInvalid(
            f"the {WORDS[kind]} {name!r} needs the package {missing!r}; "
            f"install it: pip install '{package}'"
        ) from error
    except AttributeError as error:
        raise SettingsInvalid(
            f"the {WORDS[kind]} {name!r} is registered as {target!r}, which does not exist"
        ) from error
    if not isinstance(found, type):
        raise SettingsInvalid(f"the {WORDS[kind]} {name!r} ({target}) is not a class")
    return found
