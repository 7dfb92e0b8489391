"""Type hints: which values and outputs fit a parameter."""

import collections.abc
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypedDict, Union

import numpy as np
import pytest

from zenlib import hints

UserId = NewType("UserId", int)


class Base: ...


class Child(Base): ...


class Shape(Protocol):
    def area(self) -> float: ...


class Row(TypedDict):
    n: int


FITS = [
    (int, 1, True), (int, True, True), (int, 1.0, False), (float, 1, True), (float, True, False),
    (complex, 1.5, True), (str, "a", True), (str, 1, False), (Any, object(), True), (None, None, True),
    (None, 0, False), (Optional[int], None, True), (Optional[int], "x", False), (Union[int, str], "x", True),
    (int | None, 1.5, False), (Literal["a", 1], "a", True), (Literal["a", 1], True, False), (Literal[1], 2, False),
    (list[int], [1, 2], True), (list[int], [1, "2"], False), (list[int], (1,), False), (list, ["x"], True),
    (dict[str, int], {"a": 1}, True), (dict[str, int], {"a": "1"}, False), (dict[str, int], {1: 1}, False),
    (tuple[int, str], (1, "a"), True), (tuple[int, str], (1,), False), (tuple[int, ...], (1, 2, 3), True),
    (tuple[int, ...], (1, "x"), False), (set[int], {1}, True), (set[int], {"a"}, False),
    (Annotated[int, "n"], 1, True), (Annotated[int, "n"], "1", False), (UserId, 5, True), (UserId, "5", False),
    (Base, Child(), True), (Child, Base(), False), (type, int, True), (type[Base], Child, True), (type, 1, False),
    (np.ndarray, np.ones(1), True), (np.ndarray, [1], False), (Shape, object(), True), (Row, {"n": 1}, True),
    (Row, [1], False), (collections.abc.Callable, len, True), (collections.abc.Sequence[int], [1], True),
    (object, 1, True), ("Unresolved", 1, True), (list[list[int]], [[1], ["a"]], False),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "fits"), FITS, ids=range(len(FITS)))
def test_a_value_fits_a_hint(hint, value, fits):
    assert hints.accepts(hint, value) is fits


COMPATIBLE = [
    (int, int, True), (int, float, True), (float, int, False), (bool, int, True), (Any, int, True), (int, Any, True),
    (int, object, True), (int, str, False), (Child, Base, True), (Base, Child, False), (list[int], list[int], True),
    (list[int], list[str], False), (list, list[str], True), (list[int], collections.abc.Sequence, True),
    (Optional[int], int, True), (int, Optional[int], True), (str, int | None, False), (int | str, bytes, False),
    (Literal["a"], str, True), (Literal["a"], int, False), (UserId, int, True), (Row, dict, True), (dict, Row, True),
    (tuple[int, str], tuple[int, str], True), (tuple[int, str], tuple[int, int], False), (None, int, False),
    (Shape, int, True), (int, Shape, True), (np.ndarray, np.ndarray, True), (np.ndarray, list, False),
    (Annotated[int, "x"], int, True), (dict[str, int], dict[str, float], True), (dict[str, str], dict[str, int], False),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "fits"), COMPATIBLE, ids=range(len(COMPATIBLE)))
def test_an_output_may_feed_a_parameter(source, target, fits):
    assert hints.compatible(source, target) is fits


def test_hints_that_cannot_be_resolved_are_left_out():
    def fn(a: "Nowhere", b: int) -> "Nowhere":  # noqa: F821
        return a

    assert hints.hints_of(fn) == {"b": int}
    assert hints.returns_of(fn).hints == (Any,)


def test_hints_are_shown_as_people_write_them():
    shown = [
        hints.show(h) for h in (int, None, list[int], Optional[int], Any, np.ndarray, Literal["a"])
    ]
    assert shown == ["int", "None", "list[int]", "Optional[int]", "Any", "ndarray", "Literal['a']"]
