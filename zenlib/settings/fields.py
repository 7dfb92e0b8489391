"""What can be set: the fields of a stack, and how a value of each is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from zenlib.errors import SettingsInvalid
from zenlib.wording import nearest, shown

Pickle = Literal["own", "never", "all"]
"""Whose pickled artifacts are opened: this user's, nobody's, everybody's."""
Durability = Literal["run", "step"]
"""When results are forced to the disk: once for a run, or after each step."""

COMPONENTS: dict[str, str] = {
    "metadata_store": "metadata_stores",
    "artifact_store": "artifact_stores",
    "orchestrator": "orchestrators",
}
"""Field -> the kind of adapter in `zenlib.registry`."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "pickle": get_args(Pickle),
    "durability": get_args(Durability),
}
FIELDS = (*COMPONENTS, "cache", *_CHOICES)
_YES = {"true", "1", "yes", "on"}
_NO = {"false", "0", "no", "off"}

NAME_RULE = "1 to 80 letters, digits, '.', '_' or '-' (ASCII), and a letter or digit first"


def check_name(name: object) -> str:
    """Return the name of a stack.

    Raises:
        SettingsInvalid: it is not one.
    """
    if (
        isinstance(name, str)
        and 1 <= len(name) <= 80
        and name.isascii()
        and name[0].isalnum()
        and all(letter.isalnum() or letter in "._-" for letter in name)
    ):
        return name
    raise SettingsInvalid(f"{shown(name)} is not the name of a stack; it must be {NAME_RULE}")


def read_simple(field: str, raw: object, *, text: bool = False) -> object:
    """Return the value of `cache`, `pickle` or `durability`.

    Args:
        text: read the words of a variable or a command line (`false`, `0`, `off`).

    Raises:
        SettingsInvalid: the value is not one that the field can have.
    """
    if field in _CHOICES:
        if raw in _CHOICES[field]:
            return raw
        allowed = ", ".join(_CHOICES[field])
        hint = nearest(str(raw), _CHOICES[field])
        raise SettingsInvalid(f"{field} is {shown(raw)}; it must be one of: {allowed}{hint}")
    word = str(raw).strip().lower()
    if isinstance(raw, bool) or (text and word in _YES | _NO):
        return raw if isinstance(raw, bool) else word in _YES
    raise SettingsInvalid(f"{field} is {shown(raw)}; it must be true or false")


def read_option(text: str) -> object:
    """Return an option's value as a variable or a command line spells it.

    Numbers and `true`/`false` are what they look like; anything in double quotes is a text.

    >>> read_option("4"), read_option("true"), read_option("gpu"), read_option('"4"')
    (4, True, 'gpu', '4')
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if not text.isascii() or "_" in text or len(text) > 30:
        return text
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if value - value == 0:  # not nan, not infinite
            return value
    return text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the words for a key that nothing is called by."""
    known = list(known)
    return f"unknown key {shown(key)}{nearest(key, known)}; known: {', '.join(known)}"
