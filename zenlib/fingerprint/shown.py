"""Short texts of constants for people, without running anybody's `__repr__` and without secrets."""

from __future__ import annotations

import re
import reprlib

_SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|api_?key|private_?key", re.IGNORECASE
)
_PLAIN = (int, float, complex, bool, str, bytes, type(None), range)
_SHOWN = 60


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _SHOWN
        self.maxlong = 40

    def repr1(self, x: object, level: int) -> str:
        if type(x) is int and x.bit_length() > 128:
            return f"<int of {x.bit_length()} bits>"
        if type(x) in (*_PLAIN, list, tuple, dict, set, frozenset):
            return super().repr1(x, level)
        return f"<{type(x).__qualname__}>"


def shown(name: str, value: object) -> str:
    """Return a short text of a value, or none if its name says that it is a secret.

    >>> shown("features.RATE", [0.1, 0.2])
    '[0.1, 0.2]'
    >>> shown("features.API_KEY", "hunter2")
    ''
    """
    return "" if _SECRET.search(name) else _Short().repr(value)[: 2 * _SHOWN]
