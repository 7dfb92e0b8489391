"""What the environment says: `ZENLIB_CACHE=false`, `ZENLIB_ORCHESTRATOR__WORKERS=4`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from zenlib.errors import SettingsInvalid, ZenlibWarning
from zenlib.settings.component import read_component
from zenlib.settings.fields import COMPONENTS, FIELDS, check_name, read_option, read_simple
from zenlib.settings.layers import Setting, component_settings
from zenlib.wording import nearest

PREFIX = "ZENLIB_"
STACK = "ZENLIB_STACK"
VARIABLES = {PREFIX + field.upper(): field for field in FIELDS}
"""Variable -> field."""
OTHERS = {
    STACK: "the name of the stack to use",
    "ZENLIB_HOME": "the folder of this user's settings and data",
    "ZENLIB_DEBUG": "show the whole traceback of an unexpected error",
    "ZENLIB_SERVER": "reserved",
    "ZENLIB_TOKEN": "reserved",
}
"""The other variables that mean something."""
_RESERVED = ("ZENLIB_TEST_", "ZENLIB_SECRET_", "ZENLIB_WORKER_")


def _given(name: str) -> str | None:
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise SettingsInvalid(f"{name} is set but empty; give it a value, or unset it")
    return value


def environment_stack() -> str | None:
    """Return the name in `ZENLIB_STACK`.

    Raises:
        SettingsInvalid: it is empty or not a name.
    """
    name = _given(STACK)
    try:
        return None if name is None else check_name(name)
    except SettingsInvalid as error:
        raise SettingsInvalid(f"{STACK}: {error}") from None


def environment_settings(base: Path) -> list[Setting]:
    """Return the layer of the environment, read now.

    An empty variable is an error: what a deployment failed to fill in must not quietly become
    the default store. A misspelt one is warned of.

    Raises:
        SettingsInvalid: a value that the field cannot have; the message names the variable.
    """
    found: list[Setting] = []
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX):
            continue
        field, _, option = name.partition("__")
        if VARIABLES.get(name) is not None:
            found.extend(_read(name, VARIABLES[name], base))
        elif option and VARIABLES.get(field) in COMPONENTS and option == option.upper():
            value = read_option(_given(name) or "")
            key = (VARIABLES[field], option.lower())
            found.append(Setting(key, value, f"environment {name}"))
        elif name not in OTHERS and not name.startswith(_RESERVED):
            _warn(name)
    # Which component it is comes before its options, so that naming one does not drop them.
    return sorted(found, key=lambda setting: len(setting.key))


def _read(name: str, field: str, base: Path) -> list[Setting]:
    raw = _given(name)
    try:
        if field in COMPONENTS:
            return component_settings(
                field, read_component(field, raw, base), f"environment {name}"
            )
        return [Setting((field,), read_simple(field, raw, text=True), f"environment {name}")]
    except SettingsInvalid as error:
        raise SettingsInvalid(f"{name}: {error}") from error


def _warn(name: str) -> None:
    head, mark, tail = name.upper().removeprefix(PREFIX).partition("__")
    known = [*COMPONENTS] if mark else [*FIELDS, "stack", "home"]
    close = nearest(head.lower(), known)
    if close:
        meant = close.split("'")[1].upper()
        close = f"; did you mean {PREFIX + meant + mark + tail!r}?"
    warnings.warn(
        f"the environment variable {name[:80]} means nothing to zenlib{close}",
        ZenlibWarning,
        stacklevel=2,
    )
