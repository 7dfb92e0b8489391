"""Words for times, sizes, ids and statuses, the same wherever a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from zenlib.diagram.cells import glyph_of, look_of, paint, printable

_SPANS = (
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (86400, "day"),
    (3600, "h"),
    (60, "min"),
    (1, "s"),
)


def duration(us: int) -> str:
    """Return how long something took; `us` in microseconds, less than nothing counts as nothing.

    >>> [duration(n) for n in (300, 3_000, 400_000, 9_800_000, 80_000_000, 7_500_000_000)]
    ['0.3 ms', '3 ms', '0.4 s', '9.8 s', '1 min 20 s', '2 h 5 min']
    """
    us = max(us, 0)
    if us < 950:
        return f"{us / 1000:.1f} ms" if us else "0 ms"
    if us < 99_500:
        return f"{(us + 500) // 1000} ms"
    tenths = (us + 50_000) // 100_000
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    seconds = (us + 500_000) // 1_000_000
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    minutes = (seconds + 30) // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = (minutes + 30) // 60
    return f"{hours // 24} d {hours % 24} h"


def size(size_bytes: int) -> str:
    """Return a size in decimal units; from nine tenths of a unit on it is given in that unit.

    >>> [size(n) for n in (0, 812, 1_200, 920_064, 12_400_000, 3 * 10**12)]
    ['0 B', '812 B', '1.2 kB', '0.9 MB', '12.4 MB', '3.0 TB']
    """
    if size_bytes < 900:
        return f"{size_bytes} B"
    power = 1
    while size_bytes >= 899.5 * 1000**power and power < 5:
        power += 1
    value, unit = size_bytes / 1000**power, " kMGTP"[power] + "B"
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def ago(us: int, now: int) -> str:
    """Return how long ago something was; both in microseconds since 1970.

    >>> [ago(0, s * 10**6) for s in (2, 40, 250, 7200, 200_000, 10**7, 10**8)]
    ['just now', '40 s ago', '4 min ago', '2 h ago', '2 days ago', '3 months ago', '3 years ago']
    >>> ago(3600 * 10**6, 0)
    'in 1 h'
    """
    seconds = abs(now - us) // 1_000_000
    if seconds < 5:
        return "just now"
    length, unit = next(found for found in _SPANS if seconds >= found[0])
    count = seconds // length
    span = f"{count} {unit}{'s' if count > 1 and length >= 86400 else ''}"
    return f"{span} ago" if now > us else f"in {span}"


def short_id(id: str, others: Iterable[str] | None = None) -> str:
    """Return the beginning of an id that is enough to find it again.

    The ids are UUIDv7: they begin with the time in milliseconds, so ids of one afternoon share
    their first six characters. What is returned is a plain prefix (never ending in a dash), so
    `startswith` finds it.

    Args:
        id: the whole id.
        others: the ids it must differ from; the result has six characters or as many more as
            that takes. None: they are not known; the whole time is kept, 13 characters, which
            differ for all but ids of the same millisecond.

    >>> short_id("01890a5d-ac96-774b-bcce-b302099a8057", ["01890a5e-0000-7000-8000-000000000000"])
    '01890a5d'
    >>> short_id("01890a5d-ac96-774b-bcce-b302099a8057")
    '01890a5d-ac96'
    """
    length = 13 if others is None else 6
    for other in others or ():
        if other != id:
            while length < len(id) and other.startswith(id[:length]):
                length += 1
    if id[length - 1 : length] == "-":
        length += 1
    return id[:length]


def status(status: str, color: bool = False, unicode: bool = True) -> str:
    """Return a status as sign and word; as the word alone where only ASCII can be shown.

    >>> status("completed"), status("completed", unicode=False)
    ('✓ completed', 'completed')
    """
    word = printable(status, unicode)
    return paint(f"{glyph_of(status)} {word}" if unicode else word, look_of(status).sgr, color)
