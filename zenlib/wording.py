"""Pieces of wording that many errors share: the value as it is shown, and the name that was meant."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxfrozenset = 20
_SHORT.maxlong = _SHORT.maxother = 1000


def shown(value: object, limit: int = 60) -> str:
    """Return the `repr` of a value, cut in the middle when it is longer than `limit` characters.

    Of large collections only the beginning is looked at; a `repr` that fails is replaced by the
    name of the type.

    >>> shown("dev")
    "'dev'"
    >>> len(shown("x" * 10_000))
    60
    """
    try:
        text = repr(value) if isinstance(value, str | bytes) else _SHORT.repr(value)
    except Exception:  # noqa: BLE001 - a number of 5,000 digits, a class that raises anything
        text = f"<{type(value).__name__}>"
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word that is most like `word`, or nothing.

    >>> nearest("orchestrater", ["orchestrator", "cache"])
    "; did you mean 'orchestrator'?"
    >>> nearest("zzz", ["orchestrator", "cache"])
    ''
    """
    found = get_close_matches(word[:200], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
