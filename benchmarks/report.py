"""What the benchmarks print: rows of figures, and tables of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured against what, and how far it may go."""

    subject: str
    measured: float
    unit: str
    baseline: str = ""
    base: float | None = None
    target: float | None = None
    """The largest `value` that is good; None for a row that only informs."""
    at_least: bool = False
    """Whether `target` is the smallest good value instead."""

    @property
    def ratio(self) -> float | None:
        """Measured ÷ baseline, where there is one."""
        return self.measured / self.base if self.base else None

    @property
    def value(self) -> float:
        """What is held against the target: the ratio, or the figure itself."""
        return self.measured if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON data."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


def number(value: float) -> str:
    """Return a figure with three significant digits.

    >>> number(0.12345), number(1234.5), number(0.0)
    ('0.123', '1,234', '0')
    """
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up."""
    widths = [max(3, *(len(line[i]) for line in (head, *lines))) for i in range(len(head))]
    rule = ["-" * width for width in widths]

    def joined(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    return "\n".join(joined(cells) for cells in (head, rule, *lines))


def table(rows: Sequence[Row]) -> str:
    """Return the rows of one subject as a Markdown table."""
    lines = []
    for row in rows:
        ratio = f"{number(row.ratio)} ×" if row.ratio is not None else ""
        base = f"{row.baseline}: {number(row.base)} {row.unit}" if row.base else row.baseline
        sign = "≥" if row.at_least else "≤"
        unit = "×" if row.base else row.unit
        target = f"{sign} {number(row.target)} {unit}" if row.target is not None else ""
        met = {True: "✓", False: "✗", None: ""}[row.met]
        lines.append([row.subject, f"{number(row.measured)} {row.unit}", base, ratio, target, met])
    return markdown(["subject", "measured", "baseline", "ratio", "target", ""], lines)
