"""The difference between two fingerprints, in words and as a diff of the source."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from zenlib.fingerprint.parts import Part

_FIRST = {"step": 0, "function": 1, "class": 2, "module": 3, "file": 6, "distribution": 7}
_VALUES = ("constant", "closure", "default")


@dataclass(frozen=True)
class Difference:
    """One part that differs.

    Attributes:
        kind: of the part.
        name: of the part.
        change: `changed`, `added` or `removed`.
        where: `features.py:14`; of the new part if there is one.
        lines: how many lines of the source differ; 0 if the texts are equal or unknown.
        old_source: the text before; empty if there was none.
        new_source: the text now; empty if there is none.
        text: the difference in a few words.
    """

    kind: str
    name: str
    change: str
    where: str
    lines: int
    old_source: str
    new_source: str
    text: str

    def unified_diff(self) -> str:
        """Return the change of the source as a unified diff; empty if there is no text."""
        if self.old_source == self.new_source:
            return ""
        old, new = (_lines(text) for text in (self.old_source, self.new_source))
        label = self.where.rpartition(":")[0] or self.name
        return "".join(difflib.unified_diff(old, new, f"a/{label}", f"b/{label}"))


def differences(old: Sequence[Part], new: Sequence[Part]) -> list[Difference]:
    """Return what differs between the parts of two fingerprints, the step itself first.

    A part that only has another name is no difference.

    >>> numpy = [Part("numpy", "distribution", f"b3:{v}", value=v) for v in ("1.0", "2.0")]
    >>> [found.text for found in differences(numpy[:1], numpy[1:])]
    ['numpy 1.0 → 2.0']
    """
    before = {_identity(part): part for part in old}
    after = {_identity(part): part for part in new}
    gone = [part for name, part in before.items() if name not in after]
    come = [part for name, part in after.items() if name not in before]
    gone, come = _without_renamed(gone, come)
    found = [
        _difference(before[name], part)
        for name, part in after.items()
        if name in before and before[name].digest != part.digest
    ]
    found += [_difference(None, part) for part in come]
    found += [_difference(part, None) for part in gone]
    changed = {each.name for each in found if each.kind == "class"}
    shown = [each for each in found if not _follows_from(each, changed)]
    return sorted(shown, key=lambda each: (_FIRST.get(each.kind, 5), each.name))


def _identity(part: Part) -> str:
    return "the step itself" if part.kind == "step" else part.name


def _without_renamed(gone: list[Part], come: list[Part]) -> tuple[list[Part], list[Part]]:
    """Drop pairs of parts that differ in name only."""
    left = []
    for part in gone:
        twin = next((p for p in come if (p.kind, p.digest) == (part.kind, part.digest)), None)
        if twin is None:
            left.append(part)
        else:
            come = [p for p in come if p is not twin]
    return left, come


def _follows_from(found: Difference, classes: set[str]) -> bool:
    """Whether a method without source, as dataclasses make them, changed with its class."""
    own = found.name.rpartition(".")[0]
    return (
        found.kind == "function" and own in classes and not (found.old_source or found.new_source)
    )


def _difference(old: Part | None, new: Part | None) -> Difference:
    part = new or old
    if part is None:
        raise ValueError("a difference needs a part")
    change = "changed" if old and new else "added" if new else "removed"
    old_source, new_source = old.source if old else "", new.source if new else ""
    lines = _changed_lines(old_source, new_source) if old and new else 0
    text = _words(part, old, new, change, lines)
    return Difference(part.kind, part.name, change, part.where, lines, old_source, new_source, text)


def _words(part: Part, old: Part | None, new: Part | None, change: str, lines: int) -> str:
    if part.kind == "distribution":
        if old and new:
            return f"{part.name} {old.value} → {new.value}"
        return f"{part.name} {part.value} {change}".replace("  ", " ")
    if part.kind in _VALUES and old and new and old.value != new.value:
        return f"{_called(part)}: {old.value} → {new.value}"
    place = f" ({part.where})" if part.where else ""
    count = f", {lines} line{'s' * (lines != 1)}" if lines else ""
    return f"{_called(part)} {change}{place}{count}"


def _called(part: Part) -> str:
    """What people call a part: `helper features.clean`, `default lr of fit`."""
    if part.kind == "default":
        function, _, parameter = part.name.rpartition("(")
        return f"default {parameter.partition(')')[0]} of {function.rpartition('.')[2]}"
    if part.kind == "closure":
        function, _, name = part.name.rpartition("[")
        return f"closure value {name.partition(']')[0]} of {function.rpartition('.')[2]}"
    if part.kind == "decorators":
        return part.name
    word = {"function": "helper", "module": "module", "file": "file"}.get(part.kind, part.kind)
    name = part.name.removeprefix("module ") if part.kind == "file" else part.name
    return f"{word} {name}"


def _lines(text: str) -> list[str]:
    return [line if line.endswith("\n") else f"{line}\n" for line in text.splitlines(True)]


def _changed_lines(old: str, new: str) -> int:
    """How many lines differ: for each run of changed lines, the longer side of it."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    return sum(max(i2 - i1, j2 - j1) for _, i1, i2, j1, j2 in blocks)
