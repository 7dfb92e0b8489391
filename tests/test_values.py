import datetime as dt
import enum
import json
import math
import os
import subprocess
import sys
import types
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zenlib import values
from zenlib.errors import Denied, Invalid, NotSerializable


class Colour(enum.Enum):
    RED = 1
    ROUGE = 1  # noqa: PIE796 - an alias
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    A = "a"


class Bits(enum.Flag):
    ONE = 1
    TWO = 2


class Point(NamedTuple):
    x: float
    y: float = 0.0


Plain = namedtuple("Plain", "a b")


@dataclass
class Layer:
    size: int
    fn: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: tuple[int, ...] = ()


@dataclass
class Derived:
    a: int
    doubled: int = field(init=False)

    def __post_init__(self):
        self.doubled = 2 * self.a

    @cached_property
    def slow(self):
        return self.a + 1


class Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    lr: float = 0.1
    layers: list[int] = []
    _seen: int = pydantic.PrivateAttr(default=0)

    @pydantic.field_validator("lr")
    @classmethod
    def positive(cls, value):
        if value < 0:
            raise ValueError
        return value


class Outer:
    class Inner(enum.Enum):
        X = 1


def same(a, b):
    """Equal, of the same type, all the way down; NaN equals NaN and 0.0 is not -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(k, j) and same(v, w) for (k, v), (j, w) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, dt.datetime | dt.time):
        return a == b and a.fold == b.fold and same_zone(a.tzinfo, b.tzinfo)
    return bool(a == b)


def same_zone(a, b):
    if type(a) is not type(b):
        return False
    return a.__reduce__() == b.__reduce__() if a is not None else True


def round_trip(value):
    text = values.canonical(value)
    text.decode("ascii")
    assert json.loads(text) == json.loads(json.dumps(values.encode(value)))
    return values.parse(text)


KEPT = [
    *(None, True, False, 0, -1, 2**53 + 1, 2**64, -(10**6000), "", "äöü", "\0", "a" * 10_000),
    *(0.1, -0.0, 5e-324, 1e308, math.inf, -math.inf, math.nan, 1j, complex(-0.0, math.nan)),
    *("\ud800", "\ud83d\ude00", "😀", {"\udc00": "\udc00"}, b"", b"\xff\0", bytearray(b"ab")),
    *(
        [],
        {},
        (),
        [[]],
        (1,),
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        {"$": 1},
        {"$": "tuple", "v": []},
    ),
    *({1: 2, (1, 2): None, None: {}}, {True: 1}, {1.0: 1}, set(), {1, "a", (1,)}, frozenset({1})),
    *({frozenset({1, 2}), frozenset()}, range(0), range(1, 10**30, 3), slice(None, 3)),
    *(dt.date.min, dt.date(2024, 2, 29), dt.timedelta(-1, 2, 3), dt.timedelta.max),
    dt.datetime.max,
    dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris")),
    dt.datetime(2026, 1, 1, 1, 2, 3, 4, dt.UTC),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, seconds=7, microseconds=9))),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    *(dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=dt.UTC)),
    UUID(int=5),
    *map(Decimal, ("0.10", "-0", "NaN", "sNaN12", "-Infinity", "1E+999999")),
    Fraction(-3, 10**40),
    *(Path("a/b"), PurePosixPath("/a"), PureWindowsPath("C:\\a"), Path()),
    *(Colour.RED, Colour.ROUGE, Colour.BLUE, Level.LOW, Word.A, Bits.ONE, Bits.ONE | Bits.TWO),
    *(Bits(0), Outer.Inner.X, Point(1.0), Plain([1], (2,)), Layer(3, [Layer(1)]), Frozen(1, (2,))),
    *(Derived(4), Settings(), Settings(lr=1, other={"a": 1})),
    *(np.float64(0.1), np.float32(-0.0), np.float16(2), np.int8(-1), np.uint64(2**64 - 1)),
    *(
        np.bool_(True),
        np.complex64(1j),
        np.datetime64("2020-01-01T00", "h"),
        np.timedelta64(3, "D"),
    ),
    *(np.str_("a\0"), np.str_(""), np.bytes_(b"\xff"), [np.int64(1), (np.float32(2),)]),
]


@pytest.mark.parametrize("value", KEPT, ids=lambda v: type(v).__name__)
def test_a_value_comes_back_exactly(value):
    assert values.fits(value)
    back = round_trip(value)
    assert same(back, value)
    assert values.canonical(back) == values.canonical(value)


def test_not_a_time_comes_back():
    assert np.isnat(round_trip(np.datetime64("NaT", "ns")))


hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.dates()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.fractions(),
    lambda inner: st.tuples(inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
anything = st.recursive(
    hashable
    | st.floats()
    | st.complex_numbers()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.sampled_from([*Colour, *Level, Bits(3)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.builds(Layer, st.integers(), inner)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=20,
)


@given(anything)
@example({"$": {"$": {"$": 1}}})
def test_any_composition_comes_back_exactly(value):
    assert same(round_trip(value), value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["$", "v", "a"]), inner),
        max_leaves=10,
    )
    | st.fixed_dictionaries(
        {
            "$": st.sampled_from(
                [
                    "tuple",
                    "enum",
                    "dataclass",
                    "datetime",
                    "numpy",
                    "path",
                    "model",
                    "decimal",
                    "range",
                    "int",
                    "str",
                    "float",
                    "dict",
                    "set",
                    "bytes",
                    "uuid",
                    "namedtuple",
                ]
            ),
            "v": st.recursive(
                st.none() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=6,
            ),
        }
    )
)
def test_foreign_data_is_decoded_or_refused_in_words(data):
    try:
        values.decode(data)
    except (Invalid, Denied):
        pass


def test_the_order_of_items_is_part_of_a_value():
    assert values.canonical({"a": 1, "b": 2}) != values.canonical({"b": 2, "a": 1})
    assert list(round_trip({"b": 2, "a": 1})) == ["b", "a"]


def test_the_order_of_a_set_is_not_part_of_its_value():
    code = "from zenlib import values; print(values.canonical({'a', 'b', 'c', 'd', (1, 'e')}))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("a", "b"), [(1, True), (1, 1.0), (0.0, -0.0), ("a", b"a"), ([1], (1,)), ({1}, frozenset({1}))]
)
def test_values_of_different_types_have_different_texts(a, b):
    assert values.canonical(a) != values.canonical(b)


class Subclassed(str):
    pass


class Counted(int):
    pass


class Loaded(dict):
    pass


@dataclass
class Stateful(list):
    a: int = 1


def local_instance():
    @dataclass
    class Local:
        a: int = 1

    return Local()


REFUSED = [
    (Subclassed("a"), "Subclassed has no exact form"),
    (Counted(1), "Counted has no exact form"),
    (Loaded(), "Loaded has no exact form"),
    (OrderedDict(), "OrderedDict"),
    (object(), "object has no exact form"),
    (print, "builtin_function_or_method"),
    (int, "a type has no exact form"),
    (memoryview(b""), "memoryview"),
    (iter([]), "list_iterator"),
    (np.zeros(2), "ndarray"),
    (np.longdouble(1), "no portable form"),
    (Stateful(), "state besides its fields"),
    (local_instance(), "defined inside a function"),
    (dt.datetime(2020, 1, 1, tzinfo=types.new_class("Zone", (dt.tzinfo,))()), "time zone"),
]


@pytest.mark.parametrize(
    ("value", "words"), REFUSED, ids=lambda v: v if type(v) is str else type(v).__name__
)
def test_what_has_no_exact_form_is_refused(value, words):
    assert not values.fits(value)
    with pytest.raises(NotSerializable, match=words):
        values.encode(value)


def test_the_error_names_the_place():
    value = {"a": [0, Layer(1, ({"k": Point(1.0, print)},))]}
    with pytest.raises(NotSerializable, match=r"^model\['a'\]\[1\]\.fn\[0\]\['k'\]\.y: a builtin"):
        values.encode(value, place="model")


def test_the_error_names_the_key_or_member():
    with pytest.raises(NotSerializable, match=r"^value\[\(1, 2\)\]: "):
        values.encode({(1, 2): print})
    with pytest.raises(NotSerializable, match=r"^value\{<built-in function print>\}: "):
        values.encode({print})


def test_an_attribute_beside_the_fields_is_refused():
    layer = Layer(1)
    layer.note = "x"
    with pytest.raises(NotSerializable, match=r"'note' besides its fields"):
        values.encode(layer)


def test_a_field_without_a_value_is_refused():
    layer = Frozen(1)
    object.__delattr__(layer, "b")
    with pytest.raises(NotSerializable, match=r"'b' of this test_values\.Frozen has no value"):
        values.encode(layer)


def test_what_a_cached_property_keeps_is_not_state():
    derived = Derived(4)
    assert derived.slow == 5
    assert round_trip(derived) == Derived(4)


def test_an_instance_of_a_class_that_was_defined_again_is_refused(monkeypatch):
    old = Layer(1)
    monkeypatch.setattr(sys.modules[__name__], "Layer", type("Layer", (), {}))
    with pytest.raises(NotSerializable, match="no longer leads to its class"):
        values.encode(old)


def test_a_cycle_is_refused():
    value: list = []
    value.append({"a": value})
    with pytest.raises(NotSerializable, match="contains itself"):
        values.encode(value)


def test_nesting_ends_at_a_limit_on_both_ways():
    value: Any = 1
    for _ in range(values.MAX_DEPTH):
        value = [value]
    assert round_trip(value) == value
    with pytest.raises(NotSerializable, match="nested deeper than 200"):
        values.encode([value])
    with pytest.raises(Invalid, match="nested deeper than 200"):
        values.decode([value])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "NaN",
        "[Infinity]",
        '{"a":1,"a":2}',
        "",
        "{",
        "1" * 5000,
        b"\xff\xfe",
    ],
    ids=lambda text: str(text[:12]),
)
def test_texts_that_are_not_ours_are_refused(text):
    with pytest.raises(Invalid):
        values.parse(text)


@pytest.mark.parametrize(
    "data",
    [
        {"$": "unknown", "v": 1},
        {"$": "tuple"},
        {"$": "tuple", "v": [], "x": 1},
        {"$": ["tuple"], "v": []},
        {"$": "tuple", "v": "abc"},
        {"$": "float", "v": "1.5"},
        {"$": "bytes", "v": "*"},
        {"$": "set", "v": [[]]},
        {"$": "dict", "v": [[1, 2], [1, 3]]},
        {"$": "datetime", "v": ["2020-01-01", 0, "../../etc/passwd"]},
        {"$": "datetime", "v": ["2020-01-01", 0, "Nowhere/At_All"]},
        {"$": "path", "v": ["str", "x"]},
        {"$": "enum", "v": ["test_values:Colour", "GREEN"]},
        {"$": "enum", "v": ["test_values:Colour", 7]},
        {"$": "enum", "v": ["test_values:Gone", "A"]},
        {"$": "enum", "v": ["no_such_module_here:Colour", "A"]},
        {"$": "enum", "v": ["../x:Colour", "A"]},
        {"$": "numpy", "v": ["O", "AAAAAAAAAAA="]},
        {"$": "numpy", "v": ["<f8", "AAAA"]},
        {"$": "dataclass", "v": ["__main__:Nothing", {}]},
        object(),
        (1,),
    ],
    ids=lambda data: ascii(data)[:50] if isinstance(data, dict) else type(data).__name__,
)
def test_data_that_is_not_ours_is_invalid(data):
    with pytest.raises(Invalid):
        values.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        {"$": "enum", "v": ["os:system", "x"]},
        {"$": "dataclass", "v": ["subprocess:Popen", {"args": "x"}]},
        {"$": "namedtuple", "v": ["builtins:tuple", {}]},
        {"$": "model", "v": ["builtins:dict", {}, None, None, []]},
        {"$": "enum", "v": ["test_values:Layer", "x"]},
        {"$": "dataclass", "v": ["pip.__main__:x", {}]},
    ],
    ids=ascii,
)
def test_data_that_names_other_things_is_denied(data):
    with pytest.raises(Denied):
        values.decode(data)


def test_a_class_that_changed_is_named_with_its_fields():
    data = values.encode(Layer(1))
    data["v"][1]["gone"] = data["v"][1].pop("fn")
    with pytest.raises(
        Invalid, match=r"test_values\.Layer has changed.*no longer has gone.*now has fn"
    ):
        values.decode(data)


def test_decoding_calls_none_of_the_class_own_code(monkeypatch):
    texts = [values.canonical(value) for value in (Derived(1), Point(1.0), Settings(lr=3.0))]

    def fail(*_, **__):
        raise AssertionError("user code ran")

    for kind in (Derived, Point, Settings):
        monkeypatch.setattr(kind, "__init__", fail)
    monkeypatch.setattr(Point, "__new__", fail)
    monkeypatch.setattr(Derived, "__post_init__", fail)
    derived, point, settings = map(values.parse, texts)
    assert (derived.doubled, point.x, settings.lr) == (2, 1.0, 3.0)


def test_a_model_keeps_what_was_set_what_is_extra_and_what_is_private():
    model = Settings(layers=[1], note="extra")
    model._seen = 7
    back = round_trip(model)
    assert back == model
    assert back.model_fields_set == {"layers", "note"}
    assert (back.model_extra, back._seen, back.lr) == ({"note": "extra"}, 7, 0.1)


def test_paths_can_be_refused_as_data():
    assert values.encode(PurePosixPath("a"), files=False)
    with pytest.raises(NotSerializable, match=r"value\[0\]\[0\]: a path stands for the content"):
        values.encode([[Path("a")]], files=False)


def test_classes_of_the_main_script_work_in_that_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from zenlib import values\n"
        "@dataclass\nclass Here:\n    a: int\n"
        "text = values.canonical(Here(1))\n"
        "assert values.parse(text) == Here(1)\n"
        "print(text.decode())\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, check=True)
    with pytest.raises(Invalid, match="__main__:Here is not there"):
        values.parse(ran.stdout)


def test_importing_values_loads_only_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import zenlib.values;"
        "print([n for n in set(sys.modules) - before if n.partition('.')[0] not in"
        " sys.stdlib_module_names and n.partition('.')[0] != 'zenlib'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
