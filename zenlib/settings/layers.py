"""What each place says, and which of it holds: a stronger place replaces what a weaker one said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zenlib import places, secrets
from zenlib.errors import SettingsInvalid
from zenlib.settings.component import Component, Parts, check_type, path_url, read_component
from zenlib.settings.fields import COMPONENTS, FIELDS, read_simple, unknown_key

DEFAULT = "default"
ARGUMENT = "argument"
_FILE_NAMES = {"sqlite": "metadata.db", "local": "artifacts"}
_NEEDS_URL = {
    "mysql": "mysql://user@host/database",
    "s3": "s3://bucket/folder",
    "gs": "gs://bucket/folder",
    "gcs": "gs://bucket/folder",
    "az": "az://container/folder",
    "abfs": "abfs://container/folder",
}


class Setting(NamedTuple):
    """One value that one place gives.

    Attributes:
        key: `("cache",)`, `("orchestrator",)` for which one it is, `("orchestrator", "workers")`
            for one of its options.
        value: for a component that is named, its `(type, url)`.
        source: `file:line`, `environment NAME`, `argument` or `default`.
    """

    key: tuple[str, ...]
    value: Any
    source: str


class Explained(NamedTuple):
    """A value, with the place it came from.

    Attributes:
        key: such as `cache` or `orchestrator.workers`.
        value: passwords are hidden in it.
        source: `file:line`, `environment NAME`, `argument` or `default`.
        note: empty for a value that holds; else why it does not.
    """

    key: str
    value: Any
    source: str
    note: str = ""


@dataclass(frozen=True)
class Merged:
    """What holds, and all that was said."""

    values: dict[str, Any]
    sources: dict[str, str]
    explained: list[Explained]


def component_settings(field: str, parts: Parts, source: str) -> list[Setting]:
    """Return what one place says of one component."""
    found = []
    if parts.type is not None:
        found.append(Setting((field,), (parts.type, parts.url), source))
    for name, value in parts.options.items():
        found.append(Setting((field, name), value, source))
    return found


def default_settings() -> list[Setting]:
    """Return the weakest layer: all that holds when nothing is said."""
    return [
        Setting(("metadata_store",), ("sqlite", None), DEFAULT),
        Setting(("artifact_store",), ("local", None), DEFAULT),
        Setting(("orchestrator",), ("local", None), DEFAULT),
        Setting(("cache",), True, DEFAULT),
        Setting(("pickle",), "own", DEFAULT),
        Setting(("durability",), "run", DEFAULT),
    ]


def argument_settings(given: Mapping[str, object], base: Path) -> list[Setting]:
    """Return the strongest layer: what the caller gave. None stands for "not given".

    Raises:
        SettingsInvalid: an unknown name, or a value that the field cannot have.
    """
    found: list[Setting] = []
    for field, raw in given.items():
        if field not in FIELDS:
            raise SettingsInvalid(unknown_key(field, FIELDS))
        if raw is None:
            continue
        if field in COMPONENTS:
            parts = read_component(field, raw, base)
            found.extend(component_settings(field, parts, ARGUMENT))
        else:
            found.append(Setting((field,), read_simple(field, raw), ARGUMENT))
    return found


def merge(layers: Sequence[Iterable[Setting]], start: Path | None, *, check: bool = True) -> Merged:
    """Return what holds.

    A component that is named by a stronger place replaces the weaker one together with its
    options; a place that gives options only adds them to the component below it.

    Args:
        layers: weakest first.
        start: the folder whose project says where default files lie.
        check: refuse components that no adapter here can open.

    Raises:
        SettingsInvalid: there is no such adapter, or it needs a URL.
    """
    live: dict[tuple[str, ...], Setting] = {}
    lost: list[tuple[Setting, str]] = []
    for setting in (setting for layer in layers for setting in layer):
        named = len(setting.key) == 1
        gone = [k for k in live if k == setting.key or (named and k[0] == setting.key[0])]
        lost += [(live.pop(key), f"overridden by {setting.source}") for key in gone]
        live[setting.key] = setting
    values = {
        field: _component(field, live, start, check)
        if field in COMPONENTS
        else live[(field,)].value
        for field in FIELDS
    }
    return Merged(
        values,
        {".".join(key): setting.source for key, setting in live.items()},
        _explain(live, lost, values),
    )


def _component(
    field: str, live: Mapping[tuple[str, ...], Setting], start: Path | None, check: bool
) -> Component:
    named = live[(field,)]
    type_, url = named.value
    options = {key[1]: s.value for key, s in live.items() if len(key) == 2 and key[0] == field}
    if check:
        try:
            check_type(field, type_)
        except SettingsInvalid as error:
            raise SettingsInvalid(f"{named.source}: {error}") from None
    if type_ == "file":
        type_ = "local"
    if url is None and field != "orchestrator":
        url = _default_url(field, type_, options, named.source, start)
    return Component(type=type_, url=url, options=options)


def _default_url(
    field: str, type_: str, options: Mapping[str, Any], source: str, start: Path | None
) -> str | None:
    if type_ in _FILE_NAMES:
        return path_url(type_, places.default_data(start) / _FILE_NAMES[type_])
    if type_ in _NEEDS_URL and not options:
        raise SettingsInvalid(
            f"{source}: {field}: {type_!r} needs a URL, such as {_NEEDS_URL[type_]}"
        )
    return "memory://zenlib" if field == "artifact_store" and type_ == "memory" else None


def _shown_value(setting: Setting) -> Any:
    if len(setting.key) == 2:
        return secrets.mask_all(setting.value, setting.key[1])
    if setting.key[0] in COMPONENTS:
        type_, url = setting.value
        return type_ if url is None else secrets.mask(url)
    return setting.value


def _explain(
    live: Mapping[tuple[str, ...], Setting],
    lost: Sequence[tuple[Setting, str]],
    values: Mapping[str, Any],
) -> list[Explained]:
    rows = [(setting, "") for setting in live.values()] + list(reversed(lost))
    found = []
    for setting, note in rows:
        holds = not note and len(setting.key) == 1 and setting.key[0] in COMPONENTS
        value = str(values[setting.key[0]]) if holds else _shown_value(setting)
        found.append((setting.key, Explained(".".join(setting.key), value, setting.source, note)))
    # Stable: what holds comes first, then the overridden, strongest first.
    found.sort(key=lambda row: (FIELDS.index(row[0][0]), row[0][1:]))
    return [row for _, row in found]
