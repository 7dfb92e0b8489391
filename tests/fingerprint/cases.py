"""Edits of a small project, and whether they change what the step `work` is made of.

Every case has a function `work` in `proj/pipeline_mod.py` that is called with no arguments. The
folder that holds `proj`, and in it `libs` (installed distributions) and `editable`, are on
`sys.path`. `says` are words of the difference, or of the reason why it cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

PIPELINE, FEATURES = "proj/pipeline_mod.py", "proj/features.py"
Files = dict[str, str]


@dataclass(frozen=True)
class Case:
    """One edit.

    Attributes:
        equal: whether the step counts as the same. With `unknown`, it never does.
        says: words that the difference (or the unknown part) must contain; empty if equal.
        unknown: whether what the step is made of cannot be known exactly after the edit.
    """

    id: str
    category: str
    before: Files
    after: Files
    equal: bool
    says: str = ""
    unknown: bool = False


CASES: list[Case] = []


def _text(value: str | Files) -> Files:
    files = {PIPELINE: value} if isinstance(value, str) else value
    return {name: dedent(text).lstrip("\n") for name, text in files.items()}


def case(category: str, name: str, before: str | Files, after: str | Files, says: str = "") -> None:
    """Add a case; it expects a difference if there are words for it."""
    CASES.append(Case(name, category, _text(before), _text(after), not says, says))


def never(category: str, name: str, files: str | Files, says: str) -> None:
    """Add a case that is never equal, although nothing was edited."""
    both = _text(files)
    CASES.append(Case(name, category, both, both, False, says, unknown=True))


def helper(category: str, name: str, before: str, after: str, says: str = "") -> None:
    """Add a case in which only the module `features` is edited; it has a `clean`."""
    work = "from proj.features import clean\n\ndef work():\n    return clean(4)\n"
    case(
        category, name, {PIPELINE: work, FEATURES: before}, {PIPELINE: work, FEATURES: after}, says
    )


def edited(category: str, name: str, text: str, old: str, new: str, says: str = "") -> None:
    """Add a case in which some words of the pipeline are replaced."""
    assert old in text, name
    case(category, name, text, text.replace(old, new), says)


# layout ---------------------------------------------------------------------------------------

WORK = """
    RATE = 0.1

    def work():
        total = 0
        for value in [1, 2, 3]:
            if value > 1 and RATE:
                total += value
        return total
    """
edited("layout", "a comment is added", WORK, "total = 0", "total = 0  # start\n        # more")
edited("layout", "a docstring is added", WORK, "total = 0", "'''Add up.'''\n        total = 0")
edited("layout", "blank lines are added above", WORK, "RATE = 0.1", "RATE = 0.1\n\n\n\n")
case(
    "layout",
    "the code is reformatted",
    WORK,
    """
    RATE = 0.1
    def work():
        total = (0)
        for value in [
            1,
            2,
            3,
        ]:
            if (
                value > 1
                and RATE
            ): total += value
        return (
            total
        )
    """,
)
case(
    "layout",
    "branches and loops are spread over lines",
    """
    def work():
        x = 3
        while True:
            if x > 10 or x < 0: break
            x = x + 1 if x % 2 else x * 3
        try: return x
        finally: x = None
    """,
    """
    def work():
        x = 3
        while True:
            if (x > 10
                    or x < 0):
                break
            x = (
                x + 1
                if x % 2
                else x * 3
            )
        try:
            return x
        finally:
            x = None
    """,
)
case(
    "layout",
    "a docstring is edited",
    'def work():\n    """One."""\n    return 1\n',
    'def work():\n    """Two,\n    lines."""\n    return 1\n',
)
case(
    "layout",
    "the docstring of a class is edited",
    'class A:\n    """One."""\n    x = 1\n\ndef work():\n    return A.x\n',
    'class A:\n    """Two."""\n\n    x = 1\n\ndef work():\n    return A.x\n',
)
case(
    "layout", "quotes are changed", "def work():\n    return 'a'\n", 'def work():\n    return "a"\n'
)
case(
    "layout",
    "a string is written in two pieces",
    "def work():\n    return 'ab'\n",
    "def work():\n    return ('a'\n            'b')\n",
)
case(
    "layout",
    "digits are grouped",
    "def work():\n    return 1000\n",
    "def work():\n    return 1_000\n",
)
case(
    "layout",
    "the annotation of a parameter is added",
    "def work(n=1):\n    return n\n",
    "def work(n: int = 1) -> int:\n    return n\n",
)
case(
    "layout",
    "annotations become strings",
    "def work():\n    return 1\n",
    "from __future__ import annotations\n\ndef work():\n    return 1\n",
)
case(
    "layout",
    "pass is dropped after a docstring",
    "def work():\n    'x'\n    pass\n",
    "def work():\n    'x'\n",
)
case(
    "layout",
    "the functions of the file change places",
    "def a():\n    return 1\n\ndef work():\n    return a()\n",
    "def work():\n    return a()\n\ndef a():\n    return 1\n",
)

# names ----------------------------------------------------------------------------------------

edited("names", "a local variable is renamed", WORK, "total", "result")
case(
    "names",
    "a variable shared with an inner function is renamed",
    "def work():\n    b = 2\n    a = 1\n    def f():\n        return a - b\n    return f()\n",
    "def work():\n    b = 2\n    z = 1\n    def f():\n        return z - b\n    return f()\n",
)
case(
    "names",
    "variables shared with an inner function are swapped",
    "def work():\n    b = 2\n    a = 1\n    def f():\n        return a - b\n    return f()\n",
    "def work():\n    b = 2\n    a = 1\n    def f():\n        return b - a\n    return f()\n",
    "changed (proj/pipeline_mod.py:1), 1 line",
)
case(
    "names",
    "the step function is renamed",
    "def old_name(n=3):\n    return n and old_name(n - 1)\n\nwork = old_name\n",
    "def new_name(n=3):\n    return n and new_name(n - 1)\n\nwork = new_name\n",
)
case(
    "names",
    "a parameter is renamed",
    "def work(a=1):\n    return a\n",
    "def work(b=1):\n    return b\n",
    "step proj.pipeline_mod.work changed (proj/pipeline_mod.py:1), 2 lines",
)
case(
    "names",
    "a helper is renamed",
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.clean(4)\n",
        FEATURES: "def clean(x):\n    return x + 1\n",
    },
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.tidy(4)\n",
        FEATURES: "def tidy(x):\n    return x + 1\n",
    },
)
case(
    "names",
    "a helper is moved to another file",
    {
        PIPELINE: "from proj.features import clean\n\ndef work():\n    return clean(4)\n",
        FEATURES: "N = 2\n\ndef clean(x):\n    return x + N\n",
    },
    {
        PIPELINE: "from proj.other import clean\n\ndef work():\n    return clean(4)\n",
        "proj/other.py": "# moved\nN = 2\n\n\ndef clean(x):\n    return x + N\n",
    },
)
case(
    "names",
    "a constant is renamed",
    "RATE = 2\n\ndef work():\n    return RATE\n",
    "SPEED = 2\n\ndef work():\n    return SPEED\n",
)
case(
    "names",
    "a local variable is renamed where locals() is used",
    "def work():\n    a = 1\n    return locals()\n",
    "def work():\n    b = 1\n    return locals()\n",
    "step proj.pipeline_mod.work changed",
)
case(
    "names",
    "the variable in a self-describing f-string is renamed",
    "def work():\n    a = 1\n    return f'{a=}'\n",
    "def work():\n    b = 1\n    return f'{b=}'\n",
    "step proj.pipeline_mod.work changed",
)
case(
    "names",
    "an import alias is changed",
    "import numpy as np\n\ndef work():\n    return float(np.sum([1]))\n",
    "import numpy as n\n\ndef work():\n    return float(n.sum([1]))\n",
)
case(
    "names",
    "a module of the project gets an alias",
    {
        PIPELINE: "import proj.features\n\ndef work():\n    return proj.features.clean(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
    },
    {
        PIPELINE: "import proj.features\nimport proj as p\n\ndef work():\n    return p.features.clean(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
    },
)
case(
    "names",
    "a from-import gets an alias",
    {
        PIPELINE: "from proj.features import clean\n\ndef work():\n    return clean(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
    },
    {
        PIPELINE: "from proj.features import clean as c\n\ndef work():\n    return c(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
    },
)
case(
    "names",
    "an import in the body gets an alias",
    "def work():\n    import json\n    return json.dumps(1)\n",
    "def work():\n    import json as j\n    return j.dumps(1)\n",
)

# code -----------------------------------------------------------------------------------------

edited(
    "code",
    "an operator is changed",
    WORK,
    "+=",
    "-=",
    "step proj.pipeline_mod.work changed (proj/pipeline_mod.py:3), 1 line",
)
edited("code", "a comparison is changed", WORK, "value > 1", "value >= 1", "1 line")
edited("code", "and becomes or", WORK, "and RATE", "or RATE", "1 line")
case(
    "code",
    "an int becomes a float",
    "def work():\n    return 1\n",
    "def work():\n    return 1.0\n",
    "1 line",
)
case(
    "code",
    "an int becomes a bool",
    "def work():\n    return 1\n",
    "def work():\n    return True\n",
    "1 line",
)
case(
    "code",
    "zero gets a sign",
    "def work():\n    return 0.0\n",
    "def work():\n    return -0.0\n",
    "1 line",
)
case(
    "code",
    "a string becomes bytes",
    "def work():\n    return 'a'\n",
    "def work():\n    return b'a'\n",
    "1 line",
)
case(
    "code",
    "a string prefix without effect is added",
    "def work():\n    return 'a'\n",
    "def work():\n    return r'a'\n",
)
case(
    "code",
    "a raw string differs",
    "def work():\n    return '\\n'\n",
    "def work():\n    return r'\\n'\n",
    "1 line",
)
case(
    "code",
    "the text of an f-string is changed",
    "def work():\n    x = 1\n    return f'a {x}'\n",
    "def work():\n    x = 1\n    return f'b {x}'\n",
    "1 line",
)
case(
    "code",
    "the format of an f-string is changed",
    "def work():\n    x = 1\n    return f'{x:.1f}'\n",
    "def work():\n    x = 1\n    return f'{x:.2f}'\n",
    "1 line",
)
case(
    "code",
    "the order of a set literal is changed",
    "def work():\n    return 2 in {1, 2}\n",
    "def work():\n    return 2 in {2, 1}\n",
)
case(
    "code",
    "the order of a dict literal is changed",
    "def work():\n    return {'a': 1, 'b': 2}\n",
    "def work():\n    return {'b': 2, 'a': 1}\n",
    "1 line",
)
case(
    "code",
    "a comprehension is edited",
    "def work():\n    return [x + 1 for x in range(3)]\n",
    "def work():\n    return [x + 2 for x in range(3)]\n",
    "1 line",
)
case(
    "code",
    "the variable of a comprehension is renamed",
    "def work():\n    return [x + 1 for x in range(3)]\n",
    "def work():\n    return [y + 1 for y in range(3)]\n",
)
case(
    "code",
    "a nested function is edited",
    "def work():\n    def f():\n        return 1\n    return f()\n",
    "def work():\n    def f():\n        return 2\n    return f()\n",
    "1 line",
)
case(
    "code",
    "a lambda in the body is edited",
    "def work():\n    return (lambda x: x + 1)(1)\n",
    "def work():\n    return (lambda x: x - 1)(1)\n",
    "1 line",
)
case(
    "code",
    "a nested default is edited",
    "def work():\n    def f(a=1):\n        return a\n    return f()\n",
    "def work():\n    def f(a=2):\n        return a\n    return f()\n",
    "1 line",
)
case(
    "code",
    "a class in the body is edited",
    "def work():\n    class A:\n        x = 1\n    return A.x\n",
    "def work():\n    class A:\n        x = 2\n    return A.x\n",
    "1 line",
)
case(
    "code",
    "an exception handler is widened",
    "def work():\n    try:\n        return 1\n    except KeyError:\n        return 2\n",
    "def work():\n    try:\n        return 1\n    except LookupError:\n        return 2\n",
    "1 line",
)
case(
    "code",
    "a line moves into the try block",
    "def work():\n    x = int('1')\n    try:\n        y = x\n    except ValueError:\n        y = 2\n    return y\n",
    "def work():\n    try:\n        x = int('1')\n        y = x\n    except ValueError:\n        y = 2\n    return y\n",
    "changed",
)
case(
    "code",
    "a function becomes a generator",
    "def work():\n    return [1]\n",
    "def work():\n    yield 1\n",
    "1 line",
)
case(
    "code",
    "a generator is edited",
    "def work():\n    yield 1\n    yield 2\n",
    "def work():\n    yield 1\n    yield 3\n",
    "1 line",
)
case(
    "code",
    "an async function is edited",
    "async def work():\n    return 1\n",
    "async def work():\n    return 2\n",
    "1 line",
)
case(
    "code",
    "a function becomes async",
    "def work():\n    return 1\n",
    "async def work():\n    return 1\n",
    "1 line",
)
case(
    "code",
    "an attribute of an unknown object is changed",
    "def work(x=1):\n    return x.real\n",
    "def work(x=1):\n    return x.imag\n",
    "1 line",
)
case(
    "code",
    "the keyword of a call is changed",
    "def work():\n    return dict(a=1)\n",
    "def work():\n    return dict(b=1)\n",
    "1 line",
)
case(
    "code",
    "a match pattern is changed",
    "def work():\n    match [1]:\n        case [x]: return x\n",
    "def work():\n    match [1]:\n        case [x, *_]: return x\n",
    "1 line",
)

# helpers --------------------------------------------------------------------------------------

ADD = "def clean(x):\n    return x + 1\n"
helper(
    "helpers",
    "a helper is edited",
    ADD,
    "def clean(x):\n    y = x\n    return y + 2\n",
    "helper proj.features.clean changed (proj/features.py:1), 2 lines",
)
helper(
    "helpers",
    "a comment of a helper is edited",
    ADD,
    "# note\ndef clean(x):\n    return x + 1  # one\n",
)
helper(
    "helpers",
    "a helper that is not reached is edited",
    ADD + "\ndef other():\n    return 1\n",
    ADD + "\ndef other():\n    return 2\n",
)
helper("helpers", "an import that is not used is added", ADD, "import json\nimport numpy\n" + ADD)
helper("helpers", "a constant that is not used is added", ADD, "UNUSED = 1\n" + ADD)
helper(
    "helpers",
    "a helper of a helper is edited",
    "def low(x):\n    return x\n\ndef mid(x):\n    return low(x)\n\ndef clean(x):\n    return mid(x)\n",
    "def low(x):\n    return -x\n\ndef mid(x):\n    return low(x)\n\ndef clean(x):\n    return mid(x)\n",
    "helper proj.features.low changed (proj/features.py:1), 1 line",
)
helper(
    "helpers",
    "recursion is edited",
    "def clean(x):\n    return x and clean(x - 1)\n",
    "def clean(x):\n    return x and clean(x - 2)\n",
    "helper proj.features.clean changed",
)
EVEN = "def clean(x):\n    return x == 0 or odd(x - 1)\n\ndef odd(x):\n    return x != 0 and clean(x - 1)\n"
helper(
    "helpers",
    "one of two that call each other is edited",
    EVEN,
    EVEN.replace("x != 0", "x > 0"),
    "helper proj.features.odd changed (proj/features.py:4), 1 line",
)
helper("helpers", "two that call each other are renamed", EVEN, EVEN.replace("odd", "uneven"))
helper(
    "helpers",
    "two helpers change roles",
    "def a(x):\n    return x + 1\n\ndef b(x):\n    return x * 2\n\ndef clean(x):\n    return a(x) - b(x)\n",
    "def a(x):\n    return x + 1\n\ndef b(x):\n    return x * 2\n\ndef clean(x):\n    return b(x) - a(x)\n",
    "helper proj.features.clean changed",
)
case(
    "helpers",
    "modules that import each other",
    {
        PIPELINE: "from proj import features\n\nN = 1\n\ndef work():\n    return features.clean(4)\n",
        FEATURES: "from proj import pipeline_mod\n\ndef clean(x):\n    return x + pipeline_mod.N\n",
    },
    {
        PIPELINE: "from proj import features\n\nN = 2\n\ndef work():\n    return features.clean(4)\n",
        FEATURES: "from proj import pipeline_mod\n\ndef clean(x):\n    return x + pipeline_mod.N\n",
    },
    "constant proj.pipeline_mod.N: 1 → 2",
)
case(
    "helpers",
    "a builtin is shadowed",
    "def work():\n    return len([1])\n",
    "def len(x):\n    return 7\n\ndef work():\n    return len([1])\n",
    "helper proj.pipeline_mod.len added (proj/pipeline_mod.py:1)",
)
case(
    "helpers",
    "a name that was missing appears",
    "def work():\n    return 1 if True else later()\n",
    "def work():\n    return 1 if True else later()\n\ndef later():\n    return 2\n",
)
case(
    "helpers",
    "a name that was missing on a live path appears",
    "def work(n=1):\n    return 1 if n else later()\n",
    "def work(n=1):\n    return 1 if n else later()\n\ndef later():\n    return 2\n",
    "helper proj.pipeline_mod.later added",
)
case(
    "helpers",
    "modules of one name in different folders",
    {
        PIPELINE: "from proj.a.util import f\nfrom proj.b.util import f as g\n\ndef work():\n    return f() - g()\n",
        "proj/a/util.py": "def f():\n    return 1\n",
        "proj/b/util.py": "def f():\n    return 2\n",
    },
    {
        PIPELINE: "from proj.a.util import f\nfrom proj.b.util import f as g\n\ndef work():\n    return f() - g()\n",
        "proj/a/util.py": "def f():\n    return 1\n",
        "proj/b/util.py": "def f():\n    return 3\n",
    },
    "helper proj.b.util.f changed (proj/b/util.py:1), 1 line",
)
case(
    "helpers",
    "the source of a helper is the same but its name is taken over",
    {
        PIPELINE: "from proj.features import clean\n\ndef work():\n    return clean(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
        "proj/other.py": "def clean(x):\n    return -x\n",
    },
    {
        PIPELINE: "from proj.other import clean\n\ndef work():\n    return clean(4)\n",
        FEATURES: "def clean(x):\n    return x\n",
        "proj/other.py": "def clean(x):\n    return -x\n",
    },
    "helper proj.other.clean added",
)

# imports --------------------------------------------------------------------------------------

BODY = {
    "an import in the body is followed": "def work():\n    from proj.features import clean\n    return clean(4)\n",
    "a module imported in the body is followed": "def work():\n    import proj.features as f\n    return f.clean(4)\n",
    "a dotted import in the body is followed": "def work():\n    import proj.features\n    return proj.features.clean(4)\n",
    "a relative import in the body is followed": "def work():\n    from .features import clean\n    return clean(4)\n",
    "a relative import of a module is followed": "def work():\n    from . import features\n    return features.clean(4)\n",
    "a relative import is followed": "from .features import clean\n\ndef work():\n    return clean(4)\n",
    "an attribute of a module is followed": "import proj.features as f\n\ndef work():\n    return f.clean(4)\n",
    "a dotted attribute is followed": "import proj.features\n\ndef work():\n    return proj.features.clean(4)\n",
    "a literal import_module is followed": "import importlib\nfrom importlib import import_module\n\ndef work():\n    return import_module('proj.features').clean(4)\n",
    "a module in a variable is followed": "from proj import features\n\ndef work():\n    f = features\n    return f.clean(4)\n",
    "a dynamic getattr of a module is followed": "from proj import features\n\ndef work():\n    return getattr(features, 'cle' + 'an')(4)\n",
    "an import that may fail is followed": "def work():\n    try:\n        from proj.features import clean\n    except ImportError:\n        clean = None\n    return clean(4)\n",
    "an import in an inner function is followed": "def work():\n    def inner():\n        from proj.features import clean\n        return clean(4)\n    return inner()\n",
    "an import used by an inner function is followed": "def work():\n    from proj import features\n    return (lambda: features.clean(4))()\n",
}
for _name, _work in BODY.items():
    case(
        "imports",
        _name,
        {PIPELINE: _work, FEATURES: ADD},
        {PIPELINE: _work, FEATURES: ADD.replace("+ 1", "+ 2")},
        "helper proj.features.clean changed",
    )
case(
    "imports",
    "an import in the body leaves out what it does not use",
    {PIPELINE: BODY["a module imported in the body is followed"], FEATURES: ADD},
    {PIPELINE: BODY["a module imported in the body is followed"], FEATURES: ADD + "\nUNUSED = 2\n"},
)
case(
    "imports",
    "a package re-exports a helper",
    {
        PIPELINE: "from proj import pack\n\ndef work():\n    return pack.clean(4)\n",
        "proj/pack/__init__.py": "from .inner import clean\n",
        "proj/pack/inner.py": ADD,
    },
    {
        PIPELINE: "from proj import pack\n\ndef work():\n    return pack.clean(4)\n",
        "proj/pack/__init__.py": "from .inner import clean\n",
        "proj/pack/inner.py": ADD.replace("1", "2"),
    },
    "helper proj.pack.inner.clean changed (proj/pack/inner.py:1), 1 line",
)
case(
    "imports",
    "a module's own __getattr__ hands out a helper",
    {
        PIPELINE: "from proj import lazy\n\ndef work():\n    return lazy.clean(4)\n",
        "proj/lazy.py": "def __getattr__(name):\n    if name != 'clean':\n        raise AttributeError(name)\n    from proj.features import clean\n    return clean\n",
        FEATURES: ADD,
    },
    {
        PIPELINE: "from proj import lazy\n\ndef work():\n    return lazy.clean(4)\n",
        "proj/lazy.py": "def __getattr__(name):\n    if name != 'clean':\n        raise AttributeError(name)\n    from proj.features import clean\n    return clean\n",
        FEATURES: ADD.replace("1", "2"),
    },
    "helper proj.features.clean changed",
)
edited(
    "imports",
    "another function of a library is called",
    "import numpy as np\n\ndef work():\n    return float(np.sum([1]))\n",
    "np.sum",
    "np.max",
    "1 line",
)
edited(
    "imports",
    "another function of the standard library is called",
    "import math\n\ndef work():\n    return math.sin(1)\n",
    "math.sin",
    "math.cos",
    "1 line",
)

# classes --------------------------------------------------------------------------------------

MODEL = """
    class Meta(type):
        def __call__(cls, *args):
            return super().__call__(*args)

    class Base:
        level = 1
        def scale(self, x):
            return x * self.level

    class Model(Base, metaclass=Meta):
        limit: int = 5
        def fit(self, x):
            return self.scale(x) + self.limit + self.size + self.kind() + self.make(1)
        @property
        def size(self):
            return 3
        @classmethod
        def kind(cls):
            return 4
        @staticmethod
        def make(n):
            return n + 10

    def work():
        return Model().fit(2)
    """
edited(
    "classes",
    "a method is edited",
    MODEL,
    "self.scale(x) +",
    "self.scale(x) -",
    "helper proj.pipeline_mod.Model.fit changed (proj/pipeline_mod.py:12), 1 line",
)
edited(
    "classes",
    "an inherited method is edited",
    MODEL,
    "x * self.level",
    "x - self.level",
    "helper proj.pipeline_mod.Base.scale changed",
)
edited(
    "classes",
    "an attribute of a base class is edited",
    MODEL,
    "level = 1",
    "level = 2",
    "constant proj.pipeline_mod.Base.level: 1 → 2",
)
edited(
    "classes",
    "an attribute of a class is edited",
    MODEL,
    "limit: int = 5",
    "limit: int = 6",
    "constant proj.pipeline_mod.Model.limit: 5 → 6",
)
edited(
    "classes",
    "a metaclass is edited",
    MODEL,
    "super().__call__(*args)",
    "super().__call__(*args[:1])",
    "helper proj.pipeline_mod.Meta.__call__ changed",
)
edited(
    "classes",
    "a property is edited",
    MODEL,
    "return 3",
    "return 4",
    "helper proj.pipeline_mod.Model.size changed",
)
edited(
    "classes",
    "a class method is edited",
    MODEL,
    "return 4",
    "return 5",
    "helper proj.pipeline_mod.Model.kind changed",
)
edited(
    "classes",
    "a static method is edited",
    MODEL,
    "n + 10",
    "n + 11",
    "helper proj.pipeline_mod.Model.make changed",
)
edited(
    "classes",
    "a base class is dropped",
    MODEL,
    "Model(Base, ",
    "Model(",
    "class proj.pipeline_mod.Model changed",
)
edited(
    "classes", "the methods change places", MODEL, "    class Base:", "    # here\n    class Base:"
)
edited("classes", "a class is renamed", MODEL, "Model", "Estimator")
edited(
    "classes",
    "a special method is added",
    MODEL,
    "level = 1",
    "level = 1\n        def __len__(self):\n            return 0",
    "helper proj.pipeline_mod.Base.__len__ added",
)
DATA = "from dataclasses import dataclass, field\n\n@dataclass\nclass Config:\n    rate: float = 0.1\n    names: list = field(default_factory=list)\n\ndef work():\n    return Config().rate\n"
edited(
    "classes",
    "the default of a dataclass field is edited",
    DATA,
    "0.1",
    "0.2",
    "Config.rate: 0.1 → 0.2",
)
edited(
    "classes",
    "the type of a dataclass field is edited",
    DATA,
    "rate: float",
    "rate: int",
    "class proj.pipeline_mod.Config changed (proj/pipeline_mod.py:3), 1 line",
)
edited(
    "classes",
    "a dataclass field is added",
    DATA,
    "    rate:",
    "    more: int = 1\n    rate:",
    "class proj.pipeline_mod.Config changed (proj/pipeline_mod.py:3), 1 line",
)
edited(
    "classes",
    "an option of dataclass is set",
    DATA,
    "@dataclass\n",
    "@dataclass(order=True)\n",
    "class proj.pipeline_mod.Config changed",
)
edited(
    "classes",
    "a default factory is changed",
    DATA,
    "=list)",
    "=lambda: [1])",
    "class proj.pipeline_mod.Config changed",
)
edited("classes", "a dataclass gets a comment", DATA, "    rate:", "    # speed\n    rate:")
ENUM = "import enum\n\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2\n\n    def twice(self):\n        return self.value * 2\n\ndef work():\n    return Color.RED.twice()\n"
edited(
    "classes",
    "the value of an enum member is edited",
    ENUM,
    "RED = 1",
    "RED = 3",
    "class proj.pipeline_mod.Color changed (proj/pipeline_mod.py:3), 1 line",
)
edited(
    "classes",
    "the method of an enum is edited",
    ENUM,
    "* 2",
    "* 3",
    "helper proj.pipeline_mod.Color.twice changed",
)
TUPLE = "from typing import NamedTuple\n\nclass Point(NamedTuple):\n    x: int = 1\n    y: int = 2\n\ndef work():\n    return Point().x\n"
edited(
    "classes",
    "the default of a named tuple is edited",
    TUPLE,
    "= 1",
    "= 3",
    "Point._field_defaults: {'x': 1, 'y': 2} → {'x': 3, 'y': 2}",
)
edited(
    "classes",
    "the fields of a named tuple change places",
    TUPLE,
    "    x: int = 1\n    y: int = 2",
    "    y: int = 2\n    x: int = 1",
    "class proj.pipeline_mod.Point changed",
)
TYPED = "from typing import TypedDict\n\nclass Row(TypedDict):\n    x: int\n\ndef work():\n    return Row(x=1)\n"
edited(
    "classes",
    "the field of a typed dict is edited",
    TYPED,
    "x: int",
    "x: str",
    "class proj.pipeline_mod.Row changed",
)
PYDANTIC = "from pydantic import BaseModel, field_validator\n\nclass Config(BaseModel):\n    rate: float = 0.1\n\n    @field_validator('rate')\n    @classmethod\n    def check(cls, value):\n        return value + 1\n\ndef work():\n    return Config(rate=2).rate\n"
edited(
    "classes",
    "the default of a pydantic field is edited",
    PYDANTIC,
    "0.1",
    "0.2",
    "class proj.pipeline_mod.Config changed (proj/pipeline_mod.py:3), 1 line",
)
edited(
    "classes",
    "the type of a pydantic field is edited",
    PYDANTIC,
    "rate: float",
    "rate: int",
    "class proj.pipeline_mod.Config changed",
)
edited(
    "classes",
    "a pydantic validator is edited",
    PYDANTIC,
    "value + 1",
    "value + 2",
    "helper proj.pipeline_mod.Config.check changed",
)
edited(
    "classes",
    "a pydantic model gets a comment",
    PYDANTIC,
    "    rate: float",
    "    # speed\n    rate: float",
)
edited(
    "classes",
    "slots are added",
    "class A:\n    __slots__ = ('x',)\n\ndef work():\n    return A()\n",
    "('x',)",
    "('x', 'y')",
    "class proj.pipeline_mod.A changed",
)
edited(
    "classes",
    "a class made by type() is edited",
    "A = type('A', (), {'x': 1})\n\ndef work():\n    return A.x\n",
    "'x': 1",
    "'x': 2",
    "constant proj.pipeline_mod.A.x: 1 → 2",
)
edited(
    "classes",
    "a base of the standard library is exchanged",
    "import collections\n\nclass A(collections.OrderedDict):\n    pass\n\ndef work():\n    return A()\n",
    "OrderedDict",
    "UserDict",
    "class proj.pipeline_mod.A changed",
)

# values ---------------------------------------------------------------------------------------

CONSTANTS = {
    "an int": ("1", "2", ": 1 → 2"),
    "a float": ("0.1", "0.2", ": 0.1 → 0.2"),
    "1 and 1.0": ("1", "1.0", ": 1 → 1.0"),
    "1 and True": ("1", "True", ": 1 → True"),
    "0.0 and -0.0": ("0.0", "-0.0", ": 0.0 → -0.0"),
    "NaN": ("float('nan')", "float('nan')", ""),
    "a list": ("[1, 2]", "[1, 3]", ": [1, 2] → [1, 3]"),
    "a list and a tuple": ("[1]", "(1,)", ": [1] → (1,)"),
    "a nested value": (
        "{'a': [{'b': 1}]}",
        "{'a': [{'b': 2}]}",
        ": {'a': [{'b': 1}]} → {'a': [{'b': 2}]}",
    ),
    "the order of a dict": (
        "{'a': 1, 'b': 2}",
        "{'b': 2, 'a': 1}",
        "constant proj.pipeline_mod.VALUE",
    ),
    "the order of a set": ("{'a', 'b', 'c'}", "{'c', 'b', 'a'}", ""),
    "a frozenset of tuples": (
        "frozenset({('a', 1)})",
        "frozenset({('a', 2)})",
        "constant proj.pipeline_mod.VALUE",
    ),
    "a big int": (
        "10 ** 5000",
        "10 ** 5000 + 1",
        "constant proj.pipeline_mod.VALUE changed (proj/pipeline_mod.py:5)",
    ),
    "lone surrogates": ("'\\ud800'", "'\\ud801'", "constant proj.pipeline_mod.VALUE"),
    "a date": (
        "datetime.date(2024, 1, 1)",
        "datetime.date(2024, 1, 2)",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a decimal": (
        "decimal.Decimal('1.0')",
        "decimal.Decimal('1.00')",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a path": (
        "pathlib.PurePosixPath('a')",
        "pathlib.PurePosixPath('b')",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a regular expression": (
        "re.compile('a')",
        "re.compile('a', re.I)",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a deque": (
        "collections.deque([1])",
        "collections.deque([2])",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a seeded random source": (
        "random.Random(1)",
        "random.Random(2)",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "an array": ("np.arange(3)", "np.arange(4)", "constant proj.pipeline_mod.VALUE changed"),
    "the type of an array": (
        "np.zeros(2)",
        "np.zeros(2, 'f4')",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "an equal array": ("np.arange(3)", "np.array([0, 1, 2])", ""),
    "a data frame": (
        "pd.DataFrame({'a': [1]})",
        "pd.DataFrame({'a': [2]})",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a list of functions": ("[abs, len]", "[abs, max]", "constant proj.pipeline_mod.VALUE changed"),
    "a dict of functions of libraries": (
        "{'f': np.sum}",
        "{'f': np.max}",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "the type of an element": (
        "{'t': list[int]}",
        "{'t': list[str]}",
        "constant proj.pipeline_mod.VALUE changed",
    ),
    "a logger": ("logging.getLogger('a')", "logging.getLogger('b')", ""),
    "a lock": ("threading.Lock()", "threading.RLock()", ": <lock> → <RLock>"),
}
for _name, (_old, _new, _says) in CONSTANTS.items():
    _imports = "import collections, datetime, decimal, logging, pathlib, random, re, threading\nimport numpy as np\nimport pandas as pd\n\n"
    _tail = "\n\ndef work():\n    return repr(VALUE)[:9]\n"
    case(
        "values",
        f"a global constant: {_name}",
        f"{_imports}VALUE = {_old}{_tail}",
        f"{_imports}VALUE = {_new}{_tail}",
        f"constant proj.pipeline_mod.VALUE{_says}" if _says.startswith(":") else _says,
    )
case(
    "values",
    "a constant of another module",
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n",
        FEATURES: "RATE = 0.1\n",
    },
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n",
        FEATURES: "RATE = 0.2\n",
    },
    "constant proj.features.RATE: 0.1 → 0.2",
)
case(
    "values",
    "a secret constant is not shown",
    "API_TOKEN = 'one'\n\ndef work():\n    return API_TOKEN\n",
    "API_TOKEN = 'two'\n\ndef work():\n    return API_TOKEN\n",
    "constant proj.pipeline_mod.API_TOKEN changed (proj/pipeline_mod.py:1)",
)
case(
    "values",
    "a helper in a table of functions is edited",
    "def low(x):\n    return x\n\nTABLE = {'low': low}\n\ndef work():\n    return TABLE['low'](1)\n",
    "def low(x):\n    return -x\n\nTABLE = {'low': low}\n\ndef work():\n    return TABLE['low'](1)\n",
    "helper proj.pipeline_mod.low changed",
)
edited(
    "values",
    "a default is edited",
    "def work(lr=0.1):\n    return lr\n",
    "0.1",
    "0.2",
    "default lr of work: 0.1 → 0.2",
)
edited(
    "values",
    "a mutable default is edited",
    "def work(names=['a']):\n    return names\n",
    "['a']",
    "['b']",
    "default names of work: ['a'] → ['b']",
)
edited(
    "values",
    "a keyword-only default is edited",
    "def work(*, lr=0.1):\n    return lr\n",
    "0.1",
    "0.2",
    "default lr of work: 0.1 → 0.2",
)
edited("values", "a default becomes computed", "def work(n=4):\n    return n\n", "n=4", "n=2 + 2")
edited(
    "values",
    "a parameter becomes keyword-only",
    "def work(n=4):\n    return n\n",
    "n=4",
    "*, n=4",
    "1 line",
)
INSTANCE = "class Config:\n    def __init__(self, rate):\n        self.rate = rate\n    def get(self):\n        return self.rate\n\nCONFIG = Config(1)\n\ndef work():\n    return CONFIG.get()\n"
edited(
    "values",
    "the state of an instance is edited",
    INSTANCE,
    "Config(1)",
    "Config(2)",
    "constant proj.pipeline_mod.CONFIG changed (proj/pipeline_mod.py:7)",
)
edited(
    "values",
    "the class of an instance is edited",
    INSTANCE,
    "return self.rate",
    "return -self.rate",
    "helper proj.pipeline_mod.Config.get changed",
)
edited(
    "values",
    "an instance that holds itself",
    INSTANCE + "\nCONFIG.me = CONFIG\n",
    "Config(1)",
    "Config(2)",
    "constant proj.pipeline_mod.CONFIG changed",
)
edited(
    "values",
    "the state of a bound method's object is edited",
    INSTANCE.replace("CONFIG.get()", "GET()").replace("\ndef work", "GET = CONFIG.get\n\ndef work"),
    "Config(1)",
    "Config(2)",
    "constant proj.pipeline_mod.GET changed (proj/pipeline_mod.py:8)",
)
CALLABLE = "class Add:\n    def __init__(self, n):\n        self.n = n\n    def __call__(self, x=1):\n        return x + self.n\n\nwork = Add(2)\n"
edited(
    "values",
    "a callable object is edited",
    CALLABLE,
    "x + self.n",
    "x - self.n",
    "helper proj.pipeline_mod.Add.__call__ changed",
)
edited(
    "values", "the state of a callable object is edited", CALLABLE, "Add(2)", "Add(3)", "changed"
)
edited(
    "values",
    "a subclass of a container is edited",
    "class Names(list):\n    pass\n\nNAMES = Names([1])\n\ndef work():\n    return len(NAMES)\n",
    "[1]",
    "[2]",
    "constant proj.pipeline_mod.NAMES changed",
)
edited(
    "values",
    "an enum member is exchanged",
    ENUM.replace("return Color.RED.twice()", "return FAVOURITE.twice()")
    + "\nFAVOURITE = Color.RED\n",
    "FAVOURITE = Color.RED",
    "FAVOURITE = Color.BLUE",
    "constant proj.pipeline_mod.FAVOURITE changed",
)

# closures and decorators ----------------------------------------------------------------------

CLOSURE = "def make(factor):\n    def inner(x=1):\n        return x * factor\n    return inner\n\nwork = make(2)\n"
edited(
    "closures",
    "the value in a closure is edited",
    CLOSURE,
    "make(2)",
    "make(3)",
    "closure value factor of inner: 2 → 3",
)
edited(
    "closures",
    "the function that closes over it is edited",
    CLOSURE,
    "x * factor",
    "x + factor",
    "step proj.pipeline_mod.make.<locals>.inner changed (proj/pipeline_mod.py:2), 1 line",
)
edited("closures", "the variable of a closure is renamed", CLOSURE, "factor", "rate")
edited(
    "closures",
    "the function around it is edited without effect",
    CLOSURE,
    "    return inner",
    "    unused = 1\n    return inner",
)
edited(
    "closures",
    "a function in a closure is edited",
    "def low(x):\n    return x\n\ndef make(f):\n    def inner(x=1):\n        return f(x)\n    return inner\n\nwork = make(low)\n",
    "    return x\n",
    "    return -x\n",
    "helper proj.pipeline_mod.low changed",
)
edited(
    "closures",
    "a lambda is edited",
    "double = lambda x: x * 2\n\ndef work():\n    return double(2)\n",
    "x * 2",
    "x * 3",
    "helper proj.pipeline_mod.<lambda> changed (proj/pipeline_mod.py:1), 1 line",
)
edited(
    "closures",
    "one of two lambdas on a line is edited",
    "a, b = lambda x: x + 1, lambda x: x + 2\n\ndef work():\n    return b(2)\n",
    "x + 2",
    "x + 3",
    "helper proj.pipeline_mod.<lambda> changed",
)
edited(
    "closures",
    "the other of two lambdas on a line is edited",
    "a, b = lambda x: x + 1, lambda x: x + 2\n\ndef work():\n    return b(2)\n",
    "x + 1",
    "x + 3",
)
edited(
    "closures",
    "another lambda of a loop is used",
    "fs = [lambda x, n=n: x + n for n in range(3)]\nf = fs[1]\n\ndef work():\n    return f(2)\n",
    "fs[1]",
    "fs[2]",
    "default n of <lambda>: 1 → 2",
)
edited(
    "closures",
    "another closure of a loop is used",
    "def make(n):\n    return lambda x: x + n\n\nfs = [make(n) for n in range(3)]\nf = fs[1]\n\ndef work():\n    return f(2)\n",
    "fs[1]",
    "fs[2]",
    "closure value n of <lambda>: 1 → 2",
)
edited(
    "closures",
    "the argument of a partial is edited",
    "from functools import partial\n\ndef add(a, b):\n    return a + b\n\nplus = partial(add, 1)\n\ndef work():\n    return plus(2)\n",
    "partial(add, 1)",
    "partial(add, 2)",
    "constant proj.pipeline_mod.plus changed (proj/pipeline_mod.py:6)",
)
edited(
    "closures",
    "the function of a partial is edited",
    "from functools import partial\n\ndef add(a, b=0):\n    return a + b\n\nwork = partial(add, 1)\n",
    "a + b",
    "a - b",
    "proj.pipeline_mod.add changed",
)
edited(
    "closures",
    "the keyword of a partial that is the step is edited",
    "from functools import partial\n\ndef add(a, b=0):\n    return a + b\n\nwork = partial(add, a=1)\n",
    "a=1",
    "a=2",
    "changed",
)
DECORATED = "import functools\n\ndef twice(times):\n    def apply(fn):\n        @functools.wraps(fn)\n        def wrapper(*args):\n            return [fn(*args) for _ in range(times)]\n        return wrapper\n    return apply\n\n@twice(times=2)\ndef work():\n    return 1\n"
edited(
    "decorators",
    "a decorator is added",
    DECORATED,
    "@twice(times=2)\ndef work():\n    return 1\n",
    "@twice(times=2)\n@functools.lru_cache\ndef work():\n    return 1\n",
    "changed",
)
edited(
    "decorators",
    "a decorator is edited",
    DECORATED,
    "range(times)",
    "range(times + 1)",
    "step proj.pipeline_mod.twice.<locals>.apply.<locals>.wrapper changed (proj/pipeline_mod.py:5), 1 line",
)
edited(
    "decorators",
    "the argument of a decorator is edited",
    DECORATED,
    "times=2",
    "times=3",
    "closure value times of wrapper: 2 → 3",
)
edited(
    "decorators",
    "a decorated function is edited",
    DECORATED,
    "return 1\n",
    "return 2\n",
    "helper proj.pipeline_mod.work changed",
)
edited(
    "decorators",
    "the end of a chain of wrappers is edited",
    DECORATED.replace("@twice(times=2)\n", "@twice(times=2)\n@twice(times=1)\n"),
    "return 1\n",
    "return 2\n",
    "helper proj.pipeline_mod.work changed",
)
edited(
    "decorators",
    "a cached helper is edited",
    "import functools\n\n@functools.lru_cache(maxsize=3)\ndef clean(x):\n    return x\n\ndef work():\n    return clean(1)\n",
    "return x",
    "return -x",
    "helper proj.pipeline_mod.clean changed",
)
edited(
    "decorators",
    "the size of a cache is edited",
    "import functools\n\n@functools.lru_cache(maxsize=3)\ndef clean(x):\n    return x\n\ndef work():\n    return clean(1)\n",
    "maxsize=3",
    "maxsize=4",
    "constant proj.pipeline_mod.clean#2 changed",
)
edited(
    "decorators",
    "a context manager is edited",
    "import contextlib\n\n@contextlib.contextmanager\ndef opened():\n    yield 1\n\ndef work():\n    with opened() as x:\n        return x\n",
    "yield 1",
    "yield 2",
    "helper proj.pipeline_mod.opened changed",
)
edited(
    "decorators",
    "an implementation of a generic function is edited",
    "import functools\n\n@functools.singledispatch\ndef clean(x):\n    return 0\n\n@clean.register\ndef _int(x: int):\n    return x\n\ndef work():\n    return clean(1)\n",
    "return x",
    "return -x",
    "helper proj.pipeline_mod._int changed",
)
FOREIGN = {
    PIPELINE: "import fakelib\n\n@fakelib.retry(times=3)\ndef clean(x):\n    return x\n\ndef work():\n    return clean(1)\n",
    "libs/fakelib/__init__.py": "import functools, threading\n\ndef retry(times):\n    state = threading.local()\n    def apply(fn):\n        @functools.wraps(fn)\n        def wrapper(*args):\n            state.n = times\n            return fn(*args)\n        return wrapper\n    return apply\n",
    "libs/fakelib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakelib\nVersion: 1.0\n",
    "libs/fakelib-1.0.dist-info/RECORD": "fakelib/__init__.py,,\n",
}
case(
    "decorators",
    "the argument of a library's decorator is edited",
    FOREIGN,
    {**FOREIGN, PIPELINE: FOREIGN[PIPELINE].replace("times=3", "times=4")},
    "decorators of proj.pipeline_mod.clean changed",
)
case(
    "decorators",
    "a function under a library's decorator is edited",
    FOREIGN,
    {**FOREIGN, PIPELINE: FOREIGN[PIPELINE].replace("return x", "return -x")},
    "helper proj.pipeline_mod.clean changed",
)
case(
    "decorators",
    "the options of zenlib's step are edited",
    "from zenlib.steps import step\n\n@step\ndef work():\n    return 1\n",
    "from zenlib.steps import step\n\n@step(retries=3)\ndef work():\n    return 1\n",
)
case(
    "decorators",
    "a function becomes a step",
    "def work():\n    return 1\n",
    "from zenlib.steps import step\n\n@step\ndef work():\n    return 1\n",
)
edited(
    "decorators",
    "a step that a step calls is edited",
    "from zenlib.steps import step\n\n@step\ndef clean(x: int) -> int:\n    return x\n\n@step\ndef work() -> int:\n    return clean(1)\n",
    "return x",
    "return -x",
    "helper proj.pipeline_mod.clean changed",
)

# patched at run time --------------------------------------------------------------------------

PATCH = {
    PIPELINE: "from proj import features\n\ndef other(x):\n    return x\n\ndef work():\n    return features.clean(4)\n",
    FEATURES: ADD,
}
case(
    "patched",
    "a helper is replaced at run time",
    PATCH,
    {**PATCH, PIPELINE: PATCH[PIPELINE] + "\nfeatures.clean = other\n"},
    "helper proj.pipeline_mod.other added",
)
case(
    "patched",
    "the code of a helper is replaced at run time",
    PATCH,
    {**PATCH, PIPELINE: PATCH[PIPELINE] + "\nfeatures.clean.__code__ = other.__code__\n"},
    "changed",
)
case(
    "patched",
    "a constant is replaced at run time",
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n",
        FEATURES: "RATE = 1\n",
    },
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n\nfeatures.RATE = 2\n",
        FEATURES: "RATE = 1\n",
    },
    "constant proj.features.RATE: 1 → 2",
)
case(
    "patched",
    "a constant is replaced by itself",
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n",
        FEATURES: "RATE = 1\n",
    },
    {
        PIPELINE: "from proj import features\n\ndef work():\n    return features.RATE\n\nfeatures.RATE = 1\n",
        FEATURES: "RATE = 1\n",
    },
)
edited(
    "patched",
    "a method is replaced at run time",
    MODEL,
    "    def work():",
    "    Base.scale = lambda self, x: x\n\n    def work():",
    "helper proj.pipeline_mod.<lambda> added",
)
edited(
    "patched",
    "an attribute of a class is replaced at run time",
    MODEL,
    "    def work():",
    "    Base.level = 7\n\n    def work():",
    "constant proj.pipeline_mod.Base.level: 1 → 7",
)
case(
    "patched",
    "a function of a library is replaced by the project's",
    "import statistics\n\ndef work():\n    return statistics.pstdev([1])\n",
    "import statistics\n\nclass Fake:\n    pass\n\ndef mine(x):\n    return 0\n\nimport json as statistics\nstatistics.pstdev = mine\n\ndef work():\n    return statistics.pstdev([1])\n",
    "helper proj.pipeline_mod.mine added",
)
case(
    "patched",
    "a helper's attribute is set",
    "def work():\n    return 1\n",
    "def work():\n    return 1\n\nwork.limit = 3\n",
    "constant proj.pipeline_mod.work.limit added",
)

# distributions --------------------------------------------------------------------------------

LIB = {
    PIPELINE: "import fakelib\n\ndef work():\n    return fakelib.f()\n",
    "libs/fakelib/__init__.py": "def f():\n    return 1\n",
    "libs/fakelib-1.0.dist-info/METADATA": "Name: fakelib\nVersion: 1.0\n",
}
LIB2 = {
    PIPELINE: LIB[PIPELINE],
    "libs/fakelib/__init__.py": "def f():\n    return 2\n",
    "libs/fakelib-2.0.dist-info/METADATA": "Name: fakelib\nVersion: 2.0\n",
}
case("distributions", "a library gets another version", LIB, LIB2, "fakelib 1.0 → 2.0")
case(
    "distributions",
    "a library is edited in place",
    LIB,
    {**LIB, "libs/fakelib/__init__.py": "def f():\n    return 3\n"},
)
case(
    "distributions",
    "a library that is not used gets another version",
    {**LIB, PIPELINE: "import fakelib\n\ndef work():\n    return 1\n"},
    {**LIB2, PIPELINE: "import fakelib\n\ndef work():\n    return 1\n"},
)
case(
    "distributions",
    "a library imported in the body gets another version",
    {**LIB, PIPELINE: "def work():\n    from fakelib import f\n    return f()\n"},
    {**LIB2, PIPELINE: "def work():\n    from fakelib import f\n    return f()\n"},
    "fakelib 1.0 → 2.0",
)
case(
    "distributions",
    "a module of a distribution with another name",
    {
        PIPELINE: "import otherlib\n\ndef work():\n    return otherlib.f()\n",
        "libs/otherlib.py": "def f():\n    return 1\n",
        "libs/fake_dist-1.0.dist-info/METADATA": "Name: fake-dist\nVersion: 1.0\n",
        "libs/fake_dist-1.0.dist-info/RECORD": "otherlib.py,,\n",
    },
    {
        PIPELINE: "import otherlib\n\ndef work():\n    return otherlib.f()\n",
        "libs/otherlib.py": "def f():\n    return 1\n",
        "libs/fake_dist-1.1.dist-info/METADATA": "Name: fake-dist\nVersion: 1.1\n",
        "libs/fake_dist-1.1.dist-info/RECORD": "otherlib.py,,\n",
    },
    "fake-dist 1.0 → 1.1",
)
case(
    "distributions",
    "the base class of a library gets another version",
    {
        **LIB,
        PIPELINE: "import fakelib\n\nclass A(fakelib.B):\n    pass\n\ndef work():\n    return A()\n",
        "libs/fakelib/__init__.py": "class B:\n    pass\n",
    },
    {
        **LIB2,
        PIPELINE: "import fakelib\n\nclass A(fakelib.B):\n    pass\n\ndef work():\n    return A()\n",
        "libs/fakelib/__init__.py": "class B:\n    pass\n",
    },
    "fakelib 1.0 → 2.0",
)
EDITABLE = {
    PIPELINE: "import edlib\n\ndef work():\n    return edlib.f()\n",
    "editable/edlib/__init__.py": "def f():\n    return 1\n",
    "libs/edlib-1.0.dist-info/METADATA": "Name: edlib\nVersion: 1.0\n",
    "libs/edlib-1.0.dist-info/direct_url.json": '{"url": "file:///x", "dir_info": {"editable": true}}',
    "libs/edlib-1.0.dist-info/RECORD": "edlib.pth,,\n",
}
case(
    "distributions",
    "an editable install is edited",
    EDITABLE,
    {**EDITABLE, "editable/edlib/__init__.py": "def f():\n    return 2\n"},
    "helper edlib.f changed",
)
case(
    "distributions",
    "an editable install beside its metadata is edited",
    {"libs/edlib/__init__.py" if n.startswith("editable") else n: t for n, t in EDITABLE.items()},
    {
        **{
            "libs/edlib/__init__.py" if n.startswith("editable") else n: t
            for n, t in EDITABLE.items()
        },
        "libs/edlib/__init__.py": "def f():\n    return 2\n",
    },
    "helper edlib.f changed",
)
case(
    "distributions",
    "a function in C is called",
    "import math\n\ndef work():\n    return math.sqrt(4)\n",
    "import math\n\ndef work():\n    return math.sqrt(4)\n# end\n",
)
case(
    "distributions",
    "the standard library's Python code is called",
    "import textwrap\n\ndef work():\n    return textwrap.dedent(' a')\n",
    "import textwrap  # again\n\ndef work():\n    return textwrap.dedent(' a')\n",
)
case(
    "distributions",
    "a method of a library's hidden object is used",
    "from random import randint\n\ndef work():\n    return randint(1, 1)\n",
    "import random\nfrom random import randint\n\nrandom.seed(4)\n\ndef work():\n    return randint(1, 1)\n",
)

# code without source --------------------------------------------------------------------------

MADE = "exec('def made(x):\\n    return x + 1\\n')\n\ndef work():\n    return made(1)\n"
edited(
    "no source",
    "a function made by exec",
    MADE,
    "x + 1",
    "x + 2",
    "helper proj.pipeline_mod.made changed",
)
edited(
    "no source",
    "the layout of a function made by exec",
    MADE,
    "def made(x):\\n    return x + 1",
    "# new\\n\\ndef made(x):\\n    y = x\\n    return y + 1",
    "helper proj.pipeline_mod.made changed",
)
edited(
    "no source",
    "a comment in a function made by exec",
    MADE,
    "def made(x):",
    "# new\\n\\ndef made(x):",
)
edited(
    "no source",
    "a named tuple made by a call",
    "import collections\nP = collections.namedtuple('P', 'x y')\n\ndef work():\n    return P(1, 2)\n",
    "'x y'",
    "'x z'",
    "class proj.pipeline_mod.P changed",
)
SELF_DELETING = "import os\n\ndef work():\n    return 1\n\nos.remove(__file__)\n"
edited("no source", "a file that deletes itself, unchanged", SELF_DELETING, "os\n\n", "os\n\n\n")
edited(
    "no source",
    "a file that deletes itself, edited",
    SELF_DELETING,
    "return 1",
    "return 2",
    "step proj.pipeline_mod.work changed",
)

# never equal ----------------------------------------------------------------------------------

never("unknown", "eval is used", "def work():\n    return eval('1')\n", "uses eval")
never("unknown", "exec is used", "def work():\n    exec('x = 1')\n", "uses exec")
never(
    "unknown",
    "eval is used under another name",
    "import builtins\n\nrun = builtins.eval\n\ndef work():\n    return run('1')\n",
    "uses eval",
)
never(
    "unknown",
    "eval is used as an attribute",
    "import builtins\n\ndef work():\n    return builtins.eval('1')\n",
    "uses eval",
)
never("unknown", "globals() is used", "def work():\n    return len(globals())\n", "uses globals")
never(
    "unknown",
    "a module is imported by a computed name",
    "import importlib\n\ndef work(name='json'):\n    return importlib.import_module(name).dumps(1)\n",
    "uses importlib.import_module",
)
never(
    "unknown",
    "sys.modules is used",
    "import sys\n\ndef work():\n    return len(sys.modules['json'].__name__) if 'json' in sys.modules else 0\n",
    "uses sys.modules",
)
never(
    "unknown",
    "a helper uses eval",
    {
        PIPELINE: "from proj.features import clean\n\ndef work():\n    return clean(4)\n",
        FEATURES: "def clean(x):\n    return eval('x')\n",
    },
    "function proj.features.clean (proj/features.py:1) uses eval",
)
never(
    "unknown",
    "a generator is a global",
    "GEN = (x for x in [1])\n\ndef work():\n    return next(GEN, 0)\n",
    "constant proj.pipeline_mod.GEN (proj/pipeline_mod.py:1) holds a builtins.generator, which has no exact value",
)
never(
    "unknown",
    "an open file is a global",
    "import os\nFILE = open(os.devnull)\n\ndef work():\n    return FILE.name and 1\n\nFILE.close()\n",
    "constant proj.pipeline_mod.FILE (proj/pipeline_mod.py:2) holds a _io.TextIOWrapper",
)
never(
    "unknown",
    "an open socket is a global",
    "import socket\nSOCKET = socket.socket()\nSOCKET.close()\n\ndef work():\n    return SOCKET.fileno()\n",
    "holds a socket.socket",
)
never(
    "unknown",
    "a value is nested too deep",
    "VALUE = []\nfor _ in range(500):\n    VALUE = [VALUE]\n\ndef work():\n    return len(VALUE)\n",
    "nested deeper than 100 levels",
)
never(
    "unknown",
    "a list holds itself",
    "VALUE = []\nVALUE.append(VALUE)\n\ndef work():\n    return len(VALUE)\n",
    "nested deeper than 100 levels",
)
never(
    "unknown",
    "a module in the body cannot be imported",
    {
        PIPELINE: "def work():\n    try:\n        from proj import features\n        return features.x\n    except ValueError:\n        return 1\n",
        FEATURES: "raise ValueError('broken')\n",
    },
    "imports proj.features, which raises ValueError: broken",
)
