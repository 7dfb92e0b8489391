"""Edits of small pipelines, what they must do to a step on the next run, and why.

Every case is a project that is run, edited and run again. Most edits of code are a choice of the
cases of `fingerprint/cases.py`, here run end to end; the rest is written out below. A pipeline is
in `proj/flow.py`; the files of both runs lie in folders of their own, with one history.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

sys.path.append(str(Path(__file__).parent / "fingerprint"))
CODE_CASES = importlib.import_module("cases").CASES

Files = dict[str, str]
FLOW = "proj/flow.py"
HIT = "same code, inputs and parameters as run"


@dataclass(frozen=True)
class Case:
    """One edit.

    Attributes:
        node: the step that is looked at.
        expect: what must become of it on the second run: `ran`, `cached`, `skipped`, …
        says: words that the `why` line must contain.
        calls: the call of the pipeline in the first and in the second run.
        between: what happens between the runs, by name (see `ACTIONS` in `test_cache_cases`).
        target: the node whose stored files that is done to.
        env: the environment variables of the first and of the second run.
        also: what must become of other steps.
        plain: whether the output must be what `plain()` of the edited project gives.
        gap: why the library does something else; the page shows what it does.
    """

    category: str
    edit: str
    before: Files
    after: Files
    node: str
    expect: str
    says: str
    calls: tuple[str, str] = ("p()", "p()")
    between: tuple[str, ...] = ()
    target: str = ""
    env: tuple[Files, Files] = ({}, {})
    also: dict[str, str] = field(default_factory=dict)
    plain: bool = False
    gap: str = ""

    @property
    def name(self) -> str:
        """What no other case is called."""
        return f"{self.category}: {self.edit}"


# Edits of the code: `work` of `proj/pipeline_mod.py` as a step.

RUNNER = """
from proj.pipeline_mod import work as plain
from zenlib import Step, pipeline, step

work = plain.with_options(name="work") if isinstance(plain, Step) else step(plain, name="work")

@pipeline
def p():
    return work()
"""

CHOSEN = """
layout: a comment is added
layout: a docstring is edited
layout: the code is reformatted
layout: the functions of the file change places
names: a local variable is renamed
names: the step function is renamed
names: a parameter is renamed
names: a helper is renamed
names: a helper is moved to another file
names: a constant is renamed
names: an import alias is changed
names: a from-import gets an alias
code: an operator is changed
code: an int becomes a float
code: zero gets a sign
code: the text of an f-string is changed
code: the order of a set literal is changed
code: the order of a dict literal is changed
code: a comprehension is edited
code: a nested function is edited
code: a lambda in the body is edited
code: an async function is edited
helpers: a helper is edited
helpers: a comment of a helper is edited
helpers: a helper that is not reached is edited
helpers: an import that is not used is added
helpers: a helper of a helper is edited
helpers: modules that import each other
helpers: a builtin is shadowed
helpers: modules of one name in different folders
imports: an import in the body is followed
imports: a relative import is followed
imports: a dynamic getattr of a module is followed
imports: a package re-exports a helper
classes: a method is edited
classes: an inherited method is edited
classes: an attribute of a base class is edited
classes: a metaclass is edited
classes: a static method is edited
classes: the methods change places
classes: a class is renamed
classes: the default of a dataclass field is edited
classes: a dataclass gets a comment
classes: the value of an enum member is edited
classes: the default of a named tuple is edited
classes: the field of a typed dict is edited
classes: a pydantic validator is edited
values: a global constant: an int
values: a global constant: 1 and 1.0
values: a global constant: 0.0 and -0.0
values: a global constant: the order of a dict
values: a global constant: the order of a set
values: a global constant: an array
values: a global constant: an equal array
values: a global constant: a data frame
values: a secret constant is not shown
values: a helper in a table of functions is edited
values: a default is edited
values: a mutable default is edited
values: a default becomes computed
values: the state of an instance is edited
values: a callable object is edited
closures: the value in a closure is edited
closures: the function that closes over it is edited
closures: the variable of a closure is renamed
closures: a function in a closure is edited
closures: a lambda is edited
closures: one of two lambdas on a line is edited
closures: the other of two lambdas on a line is edited
closures: the argument of a partial is edited
closures: the function of a partial is edited
decorators: a decorator is added
decorators: a decorator is edited
decorators: the argument of a decorator is edited
decorators: a decorated function is edited
decorators: an implementation of a generic function is edited
decorators: the options of zenlib's step are edited
decorators: a step that a step calls is edited
patched: a helper is replaced at run time
patched: a constant is replaced at run time
patched: a constant is replaced by itself
distributions: a library gets another version
distributions: a library is edited in place
distributions: a library that is not used gets another version
distributions: a library imported in the body gets another version
distributions: an editable install is edited
no source: a function made by exec
unknown: eval is used
unknown: a helper uses eval
unknown: a generator is a global
unknown: an open socket is a global
unknown: a module is imported by a computed name
""".strip().splitlines()

NOT_COMPARED = {
    "unknown: a generator is a global",  # each look takes an element
    "values: a global constant: the order of a set",  # what a set is printed as is chance
    "code: an async function is edited",  # `plain()` would be a coroutine
    "distributions: a library is edited in place",  # an installed library counts by its version
}

BY_NAME = {f"{case.category}: {case.id}": case for case in CODE_CASES}
CASES = [
    Case(
        category=(found := BY_NAME[name]).category,
        edit=found.id,
        before={FLOW: RUNNER, **found.before},
        after={FLOW: RUNNER, **found.after},
        node="work",
        expect="cached" if found.equal else "ran",
        says=HIT if found.equal else found.says,
        plain=name not in NOT_COMPARED,
    )
    for name in CHOSEN
]

SEPARATE = [
    "layout: a comment is added",
    "helpers: a helper of a helper is edited",
    "distributions: a library gets another version",
    "unknown: eval is used",
    "input: the result of the step above changes",
]
"""Cases that are run again as two processes with the edit made in place between them."""

# Everything else: a pipeline `p` in `proj/flow.py`.

IMPORTS = """
import os
from pathlib import Path
from typing import Annotated

from zenlib import pipeline, step, unmapped, when

"""
TWO = """
@step
def make() -> list[int]:
    return [1, 2, 3]

@step
def work(numbers: list[int]) -> int:
    return sum(numbers)

@pipeline
def p():
    return work(make())
"""
PARAMETER = """
@step
def work(n: {0}) -> {0}:
    return n

@pipeline
def p(n: {0}):
    return work(n)
"""


def flow(
    category: str,
    edit: str,
    text: str | Files,
    *changes: tuple[str, str],
    expect: str,
    says: str = "",
    node: str = "work",
    **more: Any,
) -> None:
    """Add a case; `changes` are words of the flow that are replaced, `files` are further ones."""
    old = dedent(text).lstrip("\n")
    new = old
    for this, that in changes:
        assert this in new, edit
        new = new.replace(this, that)
    files = more.pop("files", ({}, {}))
    before, after = ({FLOW: IMPORTS + t, **f} for t, f in zip((old, new), files, strict=True))
    says = says or (HIT if expect == "cached" else "")
    CASES.append(Case(category, edit, before, after, node, expect, says, **more))


def given(edit: str, kind: str, first: str, second: str, expect: str, says: str = "") -> None:
    """Add a case in which a parameter of type `kind` is given another value."""
    text = PARAMETER.replace("{0}", kind)
    flow("parameter", edit, text, expect=expect, says=says, calls=(f"p({first})", f"p({second})"))


given("another value", "int", "1", "2", "ran", "parameter n: 1 → 2")
given("1 becomes 1.0", "int | float", "1", "1.0", "ran", "parameter n: 1 → 1.0")
given("1 becomes True", "int", "1", "True", "ran", "parameter n: 1 → ")
given("0.0 gets a sign", "float", "0.0", "-0.0", "ran", "parameter n: 0.0 → -0.0")
given("a text becomes bytes", "str | bytes", "'a'", "b'a'", "ran", "parameter n: a → ")
given("a list becomes a tuple", "list | tuple", "[1]", "(1,)", "ran", "parameter n: ")
given("None becomes an empty text", "str | None", "None", "''", "ran", "parameter n: ")
given("the order of a dict", "dict", "{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", "ran", "parameter n: ")
given("the order of a set", "set[str]", "{'a', 'b', 'c'}", "{'c', 'b', 'a'}", "cached")
given("an equal value, computed", "list[int]", "[0, 1]", "list(range(2))", "cached")
given("NaN again", "float", "float('nan')", "float('nan')", "cached")
given("the end of a long text", "str", "'x' * 999 + 'a'", "'x' * 999 + 'b'", "ran", "parameter n: ")
SEVERAL = """
@step
def work(a: int, b: int = 2) -> int:
    return a - b

@pipeline
def p(unused: int = 0):
    return work(a=1, b=2)
"""
flow(
    "parameter",
    "the arguments are written in another order",
    SEVERAL,
    ("work(a=1, b=2)", "work(b=2, a=1)"),
    expect="cached",
)
flow(
    "parameter",
    "keywords become positions",
    SEVERAL,
    ("work(a=1, b=2)", "work(1, 2)"),
    expect="cached",
)
flow(
    "parameter",
    "a default is no longer written",
    SEVERAL,
    ("work(a=1, b=2)", "work(1)"),
    expect="cached",
)
flow(
    "parameter",
    "a parameter of the pipeline that reaches no step",
    SEVERAL,
    expect="cached",
    calls=("p(1)", "p(2)"),
)
ARRAY = """
import numpy as np

@step
def work(data: np.ndarray) -> float:
    return float(data.sum())

@pipeline
def p(data: np.ndarray):
    return work(data)
"""
flow(
    "parameter",
    "an array with the same content",
    ARRAY,
    expect="cached",
    calls=("p(np.arange(3))", "p(np.array([0, 1, 2]))"),
)
flow(
    "parameter",
    "an array with another content",
    ARRAY,
    expect="ran",
    says="input data changed (the call of the pipeline",
    calls=("p(np.arange(3))", "p(np.arange(4))"),
)
FILE = PARAMETER.replace("{0}", "Path")
flow(
    "parameter",
    "a file with the same content",
    FILE,
    expect="cached",
    calls=("p(Path('rows.csv'))", "p(Path('rows.csv'))"),
    files=({"rows.csv": "1\n"}, {"rows.csv": "1\n"}),
)
flow(
    "parameter",
    "a file with another content",
    FILE,
    expect="ran",
    says="the content of rows.csv changed (parameter n)",
    calls=("p(Path('rows.csv'))", "p(Path('rows.csv'))"),
    files=({"rows.csv": "1\n"}, {"rows.csv": "2\n"}),
)

# Inputs.

flow(
    "input",
    "the result of the step above changes",
    TWO,
    ("[1, 2, 3]", "[1, 2, 4]"),
    expect="ran",
    says="input numbers changed (make.output ",
    also={"make": "ran"},
)
flow(
    "input",
    "a comment is added to the step above",
    TWO,
    ("    return [", "    # new\n    return ["),
    expect="cached",
    also={"make": "cached"},
)
flow(
    "input",
    "the step above is renamed",
    TWO,
    ("make", "load"),
    expect="cached",
    also={"load": "cached"},
)
flow(
    "input",
    "another step gives the same content",
    TWO,
    ("@pipeline", "@step\ndef other() -> list[int]:\n    return [1, 2, *[3]]\n\n@pipeline"),
    ("work(make())", "work(other())"),
    expect="cached",
    also={"other": "ran"},
)
flow(
    "input",
    "a parameter instead of the step above, same value",
    TWO,
    ("work(make())", "work([1, 2, 3])"),
    expect="ran",
    says="input numbers ",
)
flow(
    "input",
    "one of several in a list changes",
    TWO.replace("work(make())", "work([one(1), one(2)])").replace(
        "@pipeline", "@step\ndef one(n: int) -> int:\n    return n\n\n@pipeline"
    ),
    ("one(2)", "one(3)"),
    expect="ran",
    says="input numbers changed (one.output, one_2.output ",
    also={"one": "cached", "one_2": "ran"},
)
flow(
    "input",
    "two inputs are swapped",
    """
    @step
    def one(n: int) -> int:
        return n

    @step
    def work(a: int, b: int) -> int:
        return a - b

    @pipeline
    def p():
        a, b = one(1), one(2)
        return work(a, b)
    """,
    ("work(a, b)", "work(b, a)"),
    expect="ran",
    says="input a changed (one_2.output ",
    also={"one": "cached", "one_2": "cached"},
)

# Early cutoff: the step above is edited, runs again and gives the same bytes.

CUTOFF = """
{imports}

SPEED = 1

@step
def make() -> {kind}:
    assert SPEED
    {body}

@step
def work(value: {kind}) -> str:
    return type(value).__name__

@pipeline
def p():
    return work(make())
"""


def cutoff(what: str, kind: str, body: str, imports: str = "") -> None:
    """Add a case in which a step with this output gives the same again."""
    body = body if "return" in body else f"return {body}"
    text = CUTOFF.format(kind=kind, body=body.replace("\n", "\n    "), imports=imports)
    flow(
        "early cutoff",
        f"the step above gives the same {what} again",
        text,
        ("SPEED = 1", "SPEED = 2"),
        expect="cached",
        also={"make": "ran"},
    )


cutoff("int", "int", "41 + SPEED // 9")
cutoff("float", "float", "float('nan')")
cutoff("text", "str", "'é' * 9")
cutoff("bytes", "bytes", "bytes(range(256))")
cutoff("list", "list[int]", "[1, 2, 3]")
cutoff("dictionary", "dict[str, float]", "{'b': 0.1, 'a': -0.0}")
cutoff("set", "set[str]", "{'a', 'b', 'c', str(SPEED // 9)}")
cutoff(
    "dataclass",
    "Model",
    "Model([0.5], 'm')",
    "from dataclasses import dataclass\n\n@dataclass\nclass Model:\n    weights: list[float]\n    name: str",
)
cutoff(
    "pydantic model",
    "Settings",
    "Settings(rate=2)",
    "from pydantic import BaseModel\n\nclass Settings(BaseModel):\n    rate: float = 0.1",
)
cutoff(
    "named tuple",
    "Point",
    "Point(1, 2)",
    "from collections import namedtuple\n\nPoint = namedtuple('Point', 'x y')",
)
cutoff("enum member", "Color", "Color.RED", "import enum\n\nclass Color(enum.Enum):\n    RED = 1")
cutoff(
    "instant",
    "datetime",
    "datetime(2024, 5, 1, 12, tzinfo=ZoneInfo('Europe/Berlin'))",
    "from datetime import datetime\nfrom zoneinfo import ZoneInfo",
)
cutoff("decimal", "Decimal", "Decimal('1.50')", "from decimal import Decimal")
cutoff("UUID", "UUID", "UUID(int=7)", "from uuid import UUID")
cutoff("file", "Path", "Path('made.txt').write_text('rows')\nreturn Path('made.txt')")
cutoff(
    "folder",
    "Path",
    "Path('made/in').mkdir(parents=True, exist_ok=True)\n"
    "Path('made/in/a.txt').write_text('a')\nreturn Path('made')",
)
cutoff("array", "np.ndarray", "np.arange(12.0).reshape(3, 4).T", "import numpy as np")
cutoff(
    "data frame with index, time zone and categories",
    "pd.DataFrame",
    "pd.DataFrame({'c': pd.Categorical(['a', 'b'], ordered=True), 'x': [1, None]}, "
    "index=pd.date_range('2024-05-01', periods=2, tz='Europe/Berlin', name='day'))",
    "import pandas as pd",
)
cutoff(
    "pandas series",
    "pd.Series",
    "pd.Series([1.5, 2.5], name='s', index=['a', 'b'])",
    "import pandas as pd",
)
cutoff(
    "polars frame",
    "pl.DataFrame",
    "pl.DataFrame({'a': [1, None], 'b': ['x', 'y']})",
    "import polars as pl",
)
cutoff(
    "arrow table", "pa.Table", "pa.table({'a': [1, None], 'b': ['x', 'y']})", "import pyarrow as pa"
)
cutoff("list of arrays", "list[np.ndarray]", "[np.zeros(3), np.ones(2)]", "import numpy as np")
cutoff(
    "linear model",
    "LinearRegression",
    "LinearRegression().fit([[0.0], [1.0], [2.0]], [1, 3, 5])",
    "from sklearn.linear_model import LinearRegression",
)
cutoff(
    "random forest",
    "RandomForestClassifier",
    "RandomForestClassifier(3, random_state=0).fit([[0], [1], [2], [3]], [0, 0, 1, 1])",
    "from sklearn.ensemble import RandomForestClassifier",
)
cutoff(
    "pipeline of estimators",
    "Pipeline",
    "make_pipeline(StandardScaler(), LinearRegression()).fit([[0.0], [1.0], [3.0]], [1, 3, 5])",
    "from sklearn.linear_model import LinearRegression\n"
    "from sklearn.pipeline import Pipeline, make_pipeline\n"
    "from sklearn.preprocessing import StandardScaler",
)
flow(
    "early cutoff",
    "the step above gives the same batches again",
    """
    from collections.abc import Iterator

    SPEED = 1

    @step
    def make() -> Iterator[list[int]]:
        for number in range(3):
            assert SPEED
            yield [number]

    @step
    def work(parts: list[list[int]]) -> int:
        return sum(map(sum, parts))

    @pipeline
    def p():
        return work(make())
    """,
    ("SPEED = 1", "SPEED = 2"),
    expect="cached",
    also={"make": "ran"},
)

# Declared outputs.

NAMED = """
@step
def work() -> Annotated[int, "total"]:
    return 6

@pipeline
def p():
    return work()
"""
flow(
    "outputs",
    "an output is renamed",
    NAMED,
    ('"total"', '"sum"'),
    expect="ran",
    says="declared outputs: total: int → sum: int",
)
flow(
    "outputs",
    "the type of an output changes",
    NAMED,
    ("Annotated[int,", "Annotated[float | int,"),
    expect="ran",
    says="declared outputs: total: int → total: float | int",
)
flow(
    "outputs",
    "an output is named by an option",
    TWO,
    ("@step\ndef work", "@step(outputs=['total'])\ndef work"),
    expect="ran",
    says="declared outputs: output: int → total: int",
)
flow(
    "outputs",
    "an output is added",
    NAMED,
    ('Annotated[int, "total"]', 'tuple[Annotated[int, "total"], Annotated[str, "unit"]]'),
    ("return 6", "return 6, 'm'"),
    expect="ran",
    says="declared outputs: total: int → total: int, unit: str",
)

# Names and options that do not count.

for _edit, _old, _new in (
    ("the step gets a name", "@step\ndef work", "@step(name='work')\ndef work_on"),
    (
        "tags, retries and resources are added",
        "@step\ndef work",
        "@step(tags=['t'], retries=2, resources={'cpu': 1})\ndef work",
    ),
    ("a hook is added", "@step\ndef work", "@step(on_success=id, on_hit=id)\ndef work"),
):
    flow(
        "options",
        _edit,
        TWO,
        (_old, _new),
        *([("work(make", "work_on(make")] * ("work_on" in _new)),
        expect="cached",
    )
flow(
    "options",
    "the pipeline is renamed: a hit across pipelines",
    TWO,
    ("def p()", "def q()"),
    expect="cached",
    calls=("p()", "q()"),
)
flow(
    "options",
    "a step is only to run after another",
    TWO,
    ("work(make())", "work.after(make())(make())"),
    expect="cached",
)
flow(
    "options",
    "the step moves into a nested pipeline",
    TWO,
    ("@pipeline\ndef p():", "@pipeline\ndef inner():"),
    ("return work(make())", "return work(make())\n\n@pipeline\ndef p():\n    return inner()"),
    node="inner/work",
    expect="cached",
    also={"inner/make": "cached"},
)
flow(
    "options",
    "two steps of one function in one run",
    """
    def double(n: int) -> int:
        return 2 * n

    one, work = step(double, name="one"), step(double, name="work")

    @pipeline
    def p():
        first = one(4)
        return work.after(first)(4)
    """,
    ("one(4)", "one(5)"),
    ("(first)(4)", "(first)(5)"),
    expect="cached",
    also={"one": "ran"},
)

# Switches.

OFF = "caching is switched off"
flow(
    "switch",
    "@step(cache=False)",
    TWO,
    ("@step\ndef work", "@step(cache=False)\ndef work"),
    expect="ran",
    says=OFF,
    also={"make": "cached"},
)
flow(
    "switch",
    "@step(cache=False) is taken away",
    TWO.replace("@step\ndef work", "@step(cache=False)\ndef work"),
    ("@step(cache=False)", "@step"),
    expect="ran",
    says="the earlier result may not be reused",
)
flow(
    "switch",
    "@pipeline(cache=False)",
    TWO,
    ("@pipeline", "@pipeline(cache=False)"),
    expect="ran",
    says=OFF,
    also={"make": "ran"},
)
flow(
    "switch",
    "@step(cache=True) in @pipeline(cache=False)",
    TWO,
    ("@pipeline", "@pipeline(cache=False)"),
    ("@step\ndef work", "@step(cache=True)\ndef work"),
    expect="cached",
    also={"make": "ran"},
)
flow(
    "switch",
    "@pipeline(cache=False) inside another pipeline",
    TWO,
    ("@pipeline\ndef p():", "@pipeline(cache=False)\ndef inner():"),
    ("return work(make())", "return work(make())\n\n@pipeline\ndef p():\n    return inner()"),
    node="inner/work",
    expect="ran",
    says=OFF,
)
flow(
    "switch",
    "with_options(cache=False)",
    TWO,
    expect="ran",
    says=OFF,
    also={"make": "ran"},
    calls=("p()", "p.with_options(cache=False)()"),
)
flow(
    "switch",
    "the run after with_options(cache=False)",
    TWO,
    expect="cached",
    calls=("p.with_options(cache=False)()", "p()"),
)
flow(
    "switch", "ZENLIB_CACHE=false", TWO, expect="ran", says=OFF, env=({}, {"ZENLIB_CACHE": "false"})
)
flow(
    "switch",
    "with_options(cache=True) over ZENLIB_CACHE=false",
    TWO,
    expect="cached",
    env=({}, {"ZENLIB_CACHE": "false"}),
    calls=("p()", "p.with_options(cache=True)()"),
)
flow(
    "switch",
    "with_options(cache=False) over @step(cache=True)",
    TWO.replace("@step\ndef work", "@step(cache=True)\ndef work"),
    expect="ran",
    says=OFF,
    calls=("p()", "p.with_options(cache=False)()"),
)
flow(
    "switch",
    "the run after @pipeline(cache=False) inside another one",
    TWO.replace("@pipeline\ndef p():", "@pipeline(cache=False)\ndef inner():").replace(
        "return work(make())", "return work(make())\n\n@pipeline\ndef p():\n    return inner()"
    ),
    ("(cache=False)", ""),
    node="inner/work",
    expect="cached",
)

# Time.

DAILY = TWO.replace("@step\ndef work", "@step(expires=86_400)\ndef work")
flow("expires", "after a day, 20 hours later", DAILY, expect="cached", between=("age",))
flow(
    "expires",
    "after a day, 40 hours later",
    DAILY,
    expect="ran",
    between=("age", "age"),
    says="expired",
)
flow(
    "expires",
    "after a day, 40 hours later, with a hit after 20",
    DAILY,
    expect="ran",
    between=("age", "again", "age"),
    says="expired",
)
flow(
    "expires",
    "after 50 ms, 100 ms later",
    TWO.replace("@step\ndef work", "@step(expires=0.05)\ndef work"),
    expect="ran",
    says="expired",
    between=("wait",),
)
flow(
    "expires",
    "the time is made longer",
    DAILY,
    ("86_400", "864_000"),
    expect="cached",
    between=("age", "age"),
)

# What the user says about the key.

IGNORE = """
@step(ignore=["jobs"])
def work(n: int, jobs: int) -> int:
    return n

@pipeline
def p(n: int, jobs: int):
    return work(n, jobs)
"""
flow(
    "ignore", "an ignored parameter changes", IGNORE, expect="cached", calls=("p(1, 1)", "p(1, 8)")
)
flow(
    "ignore",
    "another parameter changes",
    IGNORE,
    expect="ran",
    says="parameter n: 1 → 2",
    calls=("p(1, 1)", "p(2, 8)"),
)
flow(
    "ignore",
    "a parameter is no longer ignored",
    IGNORE,
    ('(ignore=["jobs"])', ""),
    expect="ran",
    says="ignored parameters: jobs → none",
    calls=("p(1, 1)", "p(1, 1)"),
)
VERSION = TWO.replace("@step\ndef work", "@step(version='1')\ndef work")
flow(
    "version",
    "the code is edited, the version is not",
    VERSION,
    ("sum(numbers)", "max(numbers)"),
    expect="cached",
)
flow(
    "version",
    "the version is changed, the code is not",
    VERSION,
    ("'1'", "'2'"),
    expect="ran",
    says="version 1 → 2",
)
flow(
    "version",
    "an input changes under a version",
    VERSION,
    ("[1, 2, 3]", "[1, 2, 4]"),
    expect="ran",
    says="input numbers changed",
)
flow(
    "version",
    "a version is given for the first time",
    VERSION.replace("(version='1')", ""),
    ("@step\ndef work", "@step(version='1')\ndef work"),
    expect="ran",
    says="the code changed",
)
DEPENDS = TWO.replace("@step\ndef work", "@step(depends_on=[{0}])\ndef work")
RULES = DEPENDS.replace("{0}", "'rules.txt'")
flow(
    "depends_on",
    "a file is edited",
    RULES,
    expect="ran",
    says="file rules.txt changed",
    files=({"rules.txt": "strict"}, {"rules.txt": "mild"}),
)
flow(
    "depends_on",
    "a file is written again, unchanged",
    RULES,
    expect="cached",
    files=({"rules.txt": "strict"}, {"rules.txt": "strict"}),
)
flow(
    "depends_on",
    "a file is added to a folder",
    DEPENDS.replace("{0}", "'rules'"),
    expect="ran",
    says="file rules/b.txt added",
    files=({"rules/a.txt": "a"}, {"rules/a.txt": "a", "rules/b.txt": "b"}),
)
FEATURES = "proj/features.py"
CLEAN = "def clean(x):\n    return x\n"
flow(
    "depends_on",
    "a function is edited",
    "from proj.features import clean\n" + DEPENDS.replace("{0}", "clean"),
    expect="ran",
    says="helper proj.features.clean changed",
    files=({FEATURES: CLEAN}, {FEATURES: CLEAN.replace("x\n", "-x\n")}),
)
MODULE = "from proj import features\n" + DEPENDS.replace("{0}", "features")
flow(
    "depends_on",
    "a module is edited",
    MODULE,
    expect="ran",
    says="file proj.features changed (proj/features.py)",
    files=({FEATURES: CLEAN}, {FEATURES: CLEAN + "NEW = 1\n"}),
)
flow(
    "depends_on",
    "a module gets a comment",
    MODULE,
    expect="cached",
    files=({FEATURES: CLEAN}, {FEATURES: "# new\n" + CLEAN}),
)

# What became of the stored files.

STORED = """
import numpy as np

@step
def make() -> np.ndarray:
    return np.arange(1000.0)

@step
def work(data: np.ndarray) -> float:
    return float(data.sum())

@pipeline
def p():
    return work(make())
"""
GONE = "files of the earlier result are missing"
WAKE = ("data.sum()", "data.max()")
for _action in ("delete", "truncate"):
    flow(
        "stored",
        f"{_action} a file of its output",
        STORED,
        node="make",
        expect="ran",
        says=GONE,
        between=(_action,),
        target="make",
        also={"work": "cached"},
    )
    flow(
        "stored",
        f"{_action} a file of its input, and edit it",
        STORED,
        WAKE,
        expect="ran",
        says="step proj.flow.work changed",
        between=(_action,),
        target="make",
        also={"make": "ran"},
    )
flow(
    "stored",
    "flip a bit of its output, which nothing reads",
    STORED,
    node="make",
    expect="cached",
    between=("flip",),
    target="make",
    also={"work": "cached"},
)
flow(
    "stored",
    "flip a bit of its output, and edit what reads it",
    STORED,
    WAKE,
    node="make",
    expect="ran",
    between=("flip",),
    target="make",
    also={"work": "ran"},
)
flow(
    "stored",
    "flip a bit of its input, and edit it",
    STORED,
    WAKE,
    expect="ran",
    says="step proj.flow.work changed",
    between=("flip",),
    target="make",
    also={"make": "ran"},
)
CHAIN = STORED.replace("return work(make())", "return work(twice(make()))").replace(
    "@pipeline",
    "@step\ndef twice(data: np.ndarray) -> np.ndarray:\n    return 2 * data\n\n@pipeline",
)
flow(
    "stored",
    "flip a bit of its input, whose own input is deleted, and edit it",
    CHAIN,
    WAKE,
    expect="ran",
    says="step proj.flow.work changed",
    between=("flip", "delete_first"),
    target="twice",
    also={"make": "ran", "twice": "ran"},
)
flow(
    "stored",
    "flip a bit in a list that it is mapped over, and edit it",
    """
    import numpy as np

    @step
    def make() -> list[np.ndarray]:
        return [np.arange(900.0), np.arange(800.0)]

    @step
    def work(data: np.ndarray) -> float:
        return float(data.sum())

    @pipeline
    def p():
        return work.map(make())
    """,
    WAKE,
    node="work[0]",
    expect="ran",
    says="step proj.flow.work changed",
    between=("flip",),
    target="make",
    also={"make": "ran", "work[1]": "ran"},
)
flow(
    "stored",
    "delete the records of all artifacts",
    TWO,
    expect="ran",
    says=GONE,
    between=("forget",),
)

# Failures, conditions and lists.

FAILS = TWO.replace(
    "    return sum", "    assert os.environ.get('BROKEN') != 'yes'\n    return sum"
)
flow(
    "failure",
    "the step failed the last time",
    FAILS,
    expect="ran",
    says="first run of this step",
    env=({"BROKEN": "yes"}, {}),
    also={"make": "cached"},
)
flow(
    "failure",
    "the step fails after an edit",
    FAILS,
    ("!= 'yes'", "== 'yes'"),
    expect="failed",
    says="step proj.flow.work changed",
    also={"make": "cached"},
)
flow(
    "condition",
    "a condition is no longer true",
    """
    @step
    def big(n: int) -> bool:
        return n > 1

    @step
    def work() -> int:
        return 1

    @pipeline
    def p(n: int):
        with when(big(n)):
            work()
    """,
    expect="skipped",
    says="condition big.output is False",
    calls=("p(2)", "p(1)"),
)
flow(
    "condition",
    "a condition is true again",
    CASES[-1].before[FLOW].removeprefix(IMPORTS),
    expect="cached",
    calls=("p(2)", "p(2)"),
    also={"big": "cached"},
)
MAPPED = """
@step
def make() -> list[int]:
    return [1, 2, 3]

@step
def work(n: int) -> int:
    assert n < 9
    return 2 * n

@step
def total(numbers: list[int]) -> int:
    return sum(numbers)

@pipeline
def p():
    return total(work.map(make()))
"""
flow(
    "map",
    "one item changes: that item",
    MAPPED,
    ("[1, 2, 3]", "[1, 2, 4]"),
    node="work[2]",
    expect="ran",
    says="input n changed (make.output[2]",
    also={"work[0]": "cached", "total": "ran"},
)
flow(
    "map",
    "one item changes: another item",
    MAPPED,
    ("[1, 2, 3]", "[1, 2, 4]"),
    node="work[1]",
    expect="cached",
)
flow(
    "map",
    "an item is added in front: an old item",
    MAPPED,
    ("[1, 2, 3]", "[0, 1, 2, 3]"),
    node="work[1]",
    expect="cached",
    also={"work[0]": "ran", "work[3]": "cached"},
)
flow(
    "map",
    "the items change places: what collects them",
    MAPPED,
    ("[1, 2, 3]", "[3, 2, 1]"),
    node="total",
    expect="ran",
    says="input numbers changed",
    also={"work[0]": "cached"},
)
SPOILT = MAPPED.replace("n < 9", "n != 2 or 'BROKEN' not in os.environ")
for _node, _expect in (("work[1]", "ran"), ("work[0]", "cached")):
    flow(
        "map",
        f"one item had failed: {'that' if _expect == 'ran' else 'another'} item",
        SPOILT,
        node=_node,
        expect=_expect,
        says="first run of this step" * (_expect == "ran"),
        env=({"BROKEN": "yes"}, {}),
        also={"make": "cached", "total": "ran"},
    )
flow(
    "first",
    "a step that is new in the pipeline",
    TWO,
    ("return work(make())", "return new(work(make()))"),
    ("@pipeline", "@step\ndef new(n: int) -> int:\n    return -n\n\n@pipeline"),
    node="new",
    expect="ran",
    says="first run of this step",
    also={"work": "cached"},
)
