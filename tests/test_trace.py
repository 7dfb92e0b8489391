"""Wiring: what a pipeline's body becomes, and which mistakes are found before anything runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest

from zenlib import Client, HandleMisuse, Invalid, Plan, either, pipeline, step, unmapped, when
from zenlib.plan import Node, OutputSpec, Ref


@step
def number(n: int = 1) -> int:
    return n


@step
def text(n: int) -> str:
    return str(n)


@step
def numbers(n: int) -> list[int]:
    return list(range(n))


@step
def two(n: int) -> tuple[Annotated[int, "half"], Annotated[str, "name"]]:
    return n // 2, str(n)


@step
def nothing(n: int) -> None:
    pass


@step
def flag(n: int) -> bool:
    return n > 0


@step
def add(*parts: int, **more: int) -> int:
    return sum(parts) + sum(more.values())


@step
def scaled(n: int, by: int) -> int:
    return n * by


def plan_of(body, *args, **kwargs) -> Plan:
    return pipeline(body).plan(*args, **kwargs)


# Plans.


def test_steps_become_nodes_in_an_order_that_can_be_executed():
    def body(n: int):
        return text(number(n))

    plan = plan_of(body, 3)
    assert list(plan.nodes) == ["number", "text"]
    assert plan.nodes["text"].inputs == {"n": Ref("number", "output")}
    assert plan.params == {"n": 3}
    assert plan.outputs == Ref("text", "output")


def test_a_plan_is_read_from_json_without_the_users_code(tmp_path):
    def body():
        half, name = two(4)
        with when(flag(half)):
            text(half)
        scaled.map([1, 2], unmapped(number(1)))
        return {"name": name, "both": [half, name]}

    plan = plan_of(body)
    file = tmp_path / "plan.json"
    file.write_text(plan.to_json(indent=1))
    code = (
        f"from zenlib import Plan; p = Plan.from_json(open({str(file)!r}).read()); print(*p.nodes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(plan.nodes)
    assert Plan.from_json(plan.to_json()).to_dict() == plan.to_dict()


def test_a_step_used_many_times_gets_numbered_nodes():
    def body():
        return number(number(number(1)))

    assert list(plan_of(body).nodes) == ["number", "number_2", "number_3"]


def test_a_nested_pipeline_becomes_a_group():
    @pipeline
    def inner(n: int):
        return text(number(n))

    def body():
        return inner(1), inner(2)

    plan = plan_of(body)
    assert list(plan.nodes) == ["inner/number", "inner/number_2", "inner/text", "inner/text_2"]
    assert plan.nodes["inner/text"].group == "inner"


def test_after_orders_steps_that_share_no_data():
    def body():
        first = nothing(1)
        number.after(first)(2)
        text(3).after(first)

    plan = plan_of(body)
    assert plan.nodes["number"].after == ("nothing",)
    assert plan.nodes["text"].after == ("nothing",)


def test_defaults_count_as_parameters_and_keyword_order_does_not():
    @step
    def fit(a: int, lr: float = 0.1) -> float:
        return a * lr

    one = plan_of(lambda: fit(a=1, lr=0.1)).nodes["fit"]
    other = plan_of(lambda: fit(lr=0.1, a=1)).nodes["fit"]
    assert one.inputs == other.inputs == plan_of(lambda: fit(1)).nodes["fit"].inputs


def test_outputs_are_found_in_every_form_of_return_type():
    class Pair(NamedTuple):
        left: int
        right: str

    @dataclass
    class Model:
        weights: list[float]
        rmse: float

    class Table(TypedDict):
        rows: int
        name: str

    forms = [
        (int, ["output"]),
        (Annotated[int, "count"], ["count"]),
        (tuple[int, str], ["output_0", "output_1"]),
        (tuple[Annotated[int, "a"], str], ["a", "output_1"]),
        (tuple[int, ...], ["output"]),
        (tuple, ["output"]),
        (Pair, ["left", "right"]),
        (Model, ["weights", "rmse"]),
        (Table, ["rows", "name"]),
        (Annotated[Model, "model"], ["model"]),
        (Iterator[int], ["output"]),
        (None, []),
        (Any, ["output"]),
    ]
    for hint, names in forms:

        def fn():
            return None

        fn.__annotations__ = {"return": hint}
        node = plan_of(step(fn)).nodes["fn"]
        assert [spec.name for spec in node.outputs] == names, hint


def test_names_of_outputs_can_be_given_to_the_decorator():
    @step(outputs=["train", "test"])
    def split(n: int):
        return n, n

    def body():
        train, test = split(1)
        return train

    assert [spec.name for spec in plan_of(body).nodes["split"].outputs] == ["train", "test"]


def test_a_plan_of_500_nodes_in_a_chain_and_one_in_a_row_are_made():
    def chain():
        value = number(1)
        for _ in range(499):
            value = number(value)

    assert len(plan_of(chain).nodes) == 500
    assert len(plan_of(lambda: [number(n) for n in range(500)]).nodes) == 500


# Wrong wiring: each message names both ends.

WRONG = [
    (
        lambda: text(two(1).name),
        "parameter 'n' of step 'text' takes int.*output 'name' of step 'two', which is str",
    ),
    (lambda: number("one"), "parameter 'n' of step 'number' takes int.*'one'.*str"),
    (lambda: number(1, 2), "step 'number' in pipeline.*too many positional"),
    (lambda: text(), "step 'text' in pipeline.*missing a required argument: 'n'"),
    (lambda: text(m=1), "step 'text' in pipeline.*parameters are"),
    (
        lambda: text(nothing(1)),
        "parameter 'n' of step 'text' is given step 'nothing', which returns nothing",
    ),
    (
        lambda: text(numbers(1)),
        r"takes int.*output 'output' of step 'numbers', which is list\[int\]",
    ),
    (lambda: number.map(1), "mapped over nothing"),
    (lambda: add.map([1], [2]), r"cannot be mapped over its \*parts"),
    (
        lambda: text.map(number(1)),
        r"output 'output' of step 'number'.* is int, no list; write unmapped",
    ),
    (lambda: text.map(["a"]), "each element for parameter 'n' of step 'text' takes int"),
    (lambda: text(number.map([1, 2])), "takes int.*which is list"),
    (lambda: add(unmapped(1)), r"unmapped\(...\) is for the arguments of .map"),
    (lambda: two(1).nobody, "step 'two' has no output 'nobody'; it has 'half', 'name'"),
    (lambda: None, "has no steps"),
]


@pytest.mark.parametrize(("body", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_wiring_is_refused_before_anything_runs(body, message):
    with pytest.raises((Invalid, HandleMisuse), match=message):
        plan_of(body)


def test_an_output_of_another_call_of_a_pipeline_is_refused():
    kept = []

    def first():
        kept.append(number(1))

    plan_of(first)
    with pytest.raises(Invalid, match="belongs to another call of a pipeline"):
        plan_of(lambda: text(kept[0]))


def test_a_cycle_is_named():
    def body():
        a = number(1)
        b = number(a)
        a.after(b)

    with pytest.raises(
        Invalid, match="cycle: number → number_2 → number|number_2 → number → number_2"
    ):
        plan_of(body)


def test_two_outputs_of_one_name_are_refused():
    @step
    def twins() -> tuple[Annotated[int, "x"], Annotated[int, "x"]]:
        return 1, 2

    with pytest.raises(Invalid, match="two outputs named 'x'"):
        plan_of(twins)


def test_wrong_arguments_of_the_pipeline_are_refused():
    @pipeline
    def training(lr: float, epochs: int = 1):
        return number(epochs)

    for call, message in [
        (lambda: training.plan(), "missing a required argument: 'lr'"),
        (lambda: training.plan(0.1, speed=2), "unexpected keyword argument 'speed'"),
        (lambda: training.plan("fast"), "parameter 'lr' of pipeline 'training' takes float"),
        (lambda: training.plan(0.1, True and "x"), "parameter 'epochs'"),
    ]:
        with pytest.raises(Invalid, match=message):
            call()


def test_a_reference_to_nothing_is_refused():
    node = Node("b", "b", {}, inputs={"x": Ref("a", "output")})
    with pytest.raises(Invalid, match="needs 'a', which is not in the plan"):
        Plan.of("p", [node])
    with pytest.raises(Invalid, match="output 'other' of step 'a'"):
        Plan.of(
            "p",
            [
                Node("a", "a", {}, outputs=(OutputSpec("output"),)),
                Node("b", "b", {}, inputs={"x": Ref("a", "other")}),
            ],
        )


def test_text_that_is_no_plan_is_refused():
    for text_ in (
        '{"format": 99}',
        '{"format": 1}',
        '{"format": 1, "pipeline": "p", "nodes": [1]}',
    ):
        with pytest.raises(Invalid):
            Plan.from_json(text_)
    assert json.loads(plan_of(lambda: number(1)).to_json())["format"] == 1


# Handles used as values.

MISUSES = {
    "if": lambda h: bool(h),
    "not": lambda h: not h,
    "and": lambda h: h and 1,
    "add": lambda h: h + 1,
    "radd": lambda h: 1 + h,
    "iadd": lambda h: sum([h, h]),
    "minus": lambda h: -h,
    "less": lambda h: h < 1,
    "equal": lambda h: h == 1,
    "iterate": lambda h: list(h),
    "unpack": lambda h: (lambda a, b: a)(*h),
    "in": lambda h: 1 in h,
    "len": lambda h: len(h),
    "index": lambda h: h[0],
    "attribute": lambda h: h.shape,
    "call": lambda h: h(),
    "format": lambda h: f"{h}",
    "str": lambda h: str(h),
    "percent": lambda h: "%s" % h,  # noqa: UP031
    "int": lambda h: int(h),
    "float": lambda h: float(h),
    "range": lambda h: range(h),
    "max": lambda h: max(h, 1),
    "round": lambda h: round(h, 1),
    "with": lambda h: h.__enter__(),
    "sorted": lambda h: sorted(h),
    "json": lambda h: json.dumps({"x": float(h)}),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_handle_used_as_a_value_names_the_step_and_the_fix(name):
    def body():
        MISUSES[name](number(1))

    with pytest.raises(HandleMisuse, match="step 'number'.*(inside a step|when\\(|map\\()"):
        plan_of(body)


def test_a_handle_can_be_looked_at_in_a_debugger():
    seen = []

    def body():
        handle = number(1)
        seen.append(repr(handle))
        seen.append(repr(two(1)))
        assert handle in {handle}

    plan_of(body)
    assert "output 'output' of step 'number'" in seen[0]
    assert "'half', 'name'" in seen[1]


class Both(NamedTuple):
    left: Any
    right: Any


@dataclass
class Box:
    content: Any


class Bag:
    def __init__(self, content):
        self.content = content


@step
def anything(value: Any) -> int:
    return 1


@pytest.mark.parametrize("hide", [lambda h: Both(h, 2), Box, lambda h: {h}, lambda h: [Box([h])]])
def test_a_handle_hidden_in_another_object_is_refused_when_it_is_wired(hide):
    with pytest.raises(HandleMisuse, match="step 'number'.*plain list, tuple or dictionary"):
        plan_of(lambda: anything(hide(number(1))))


def test_a_handle_hidden_in_an_object_of_any_class_is_refused_before_anything_runs():
    with pytest.raises(HandleMisuse, match="step 'number'.*argument of its own"):
        pipeline(lambda: anything(Bag(number(1))))()
    assert Client().runs() == []


def test_an_argument_that_contains_itself_is_looked_through_without_end_in_sight():
    box = Box(None)
    box.content = box
    assert list(plan_of(lambda: anything(box)).nodes) == ["anything"]


def test_a_record_of_a_class_nobody_else_finds_is_refused_as_a_whole():
    @dataclass
    class Local:
        n: int

    @step
    def make() -> Local:
        return Local(1)

    with pytest.raises(Invalid, match="Local is given to a step as a whole"):
        plan_of(lambda: anything(make()))
    assert list(plan_of(lambda: number(make().n)).nodes) == ["make", "number"]


def test_several_outputs_used_as_a_condition_are_refused():
    with pytest.raises(HandleMisuse, match="used as a condition"):
        plan_of(lambda: 1 if two(1) else 2)


# Conditions.


def test_when_takes_only_outputs_that_can_be_true_or_false():
    def wrong_type():
        with when(text(1)):
            number(1)

    def no_handle():
        with when(True):
            number(1)

    with pytest.raises(Invalid, match="output 'output' of step 'text' is str"):
        plan_of(wrong_type)
    with pytest.raises(Invalid, match="takes the output of a step that returns a bool"):
        plan_of(no_handle)


def test_when_and_either_outside_a_pipeline_say_so():
    with pytest.raises(Invalid, match="is for the body of a @pipeline function"):
        with when(True):
            pass
    with pytest.raises(Invalid, match="is for the body of a @pipeline function"):
        either(1, 2)


def test_an_async_pipeline_is_refused():
    async def body():
        return number(1)

    with pytest.raises(Invalid, match="`async def`"):
        plan_of(body)


def test_a_failed_trace_leaves_steps_callable():
    def broken():
        number(1)
        raise RuntimeError("in the body")

    with pytest.raises(RuntimeError, match="in the body"):
        plan_of(broken)
    assert number(5) == 5
