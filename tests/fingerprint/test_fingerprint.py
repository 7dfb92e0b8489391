"""Fingerprints of live functions: what is noticed, what is remembered, what is refused."""

from __future__ import annotations

import ast
import importlib
import json
import linecache
import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import pytest
from cases import CASES
from project_files import fingerprint_of, loaded, write

from zenlib.errors import Invalid
from zenlib.fingerprint import Fingerprint, Part, Project, build, differences, fingerprint, graph
from zenlib.hashing import digest_of


def function(text: str, name: str = "work", **names: object) -> types.FunctionType:
    """Make a function as a notebook does: no file, but lines that can be looked up."""
    text = textwrap.dedent(text)
    cell = f"<cell {digest_of(text.encode())[3:11]}>"
    linecache.cache[cell] = (len(text), None, text.splitlines(True), cell)
    names.setdefault("__name__", "cell")
    exec(compile(text, cell, "exec"), names)
    return names[name]


def named(found: Fingerprint, name: str) -> Part:
    return next(part for part in found.parts if part.name == name)


# the same in every process --------------------------------------------------------------------


def test_two_processes_with_other_hash_seeds_agree_on_every_case(tmp_path):
    exact = [case for case in CASES if not case.unknown]
    roots = [str(write(tmp_path / str(n), case.after)) for n, case in enumerate(exact)]
    kept = [n for n, case in enumerate(exact) if "deletes itself" not in case.id]
    here = Path(__file__).parent
    digests = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-B", here / "digests.py", *(roots[n] for n in kept)],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(here), *sys.path]),
            },
            capture_output=True,
            check=True,
            text=True,
        )
        digests.append(json.loads(run.stdout))
    assert digests[0] == digests[1]
    assert digests[0] == [fingerprint_of(Path(roots[n])).digest for n in kept]


def test_the_folder_a_project_lies_in_does_not_count(tmp_path):
    files = {"proj/pipeline_mod.py": "def work():\n    return __file__\n"}
    one, two = (fingerprint_of(write(tmp_path / name, files)) for name in ("a", "b"))
    assert one == two
    assert str(tmp_path) not in repr(one)


# changes in a running process ------------------------------------------------------------------


def changes(work, change) -> bool:
    """Whether a change in a running process is seen; asked twice, so that the cache is used."""
    before = fingerprint(work)
    assert fingerprint(work) is before
    change()
    return fingerprint(work).digest != before.digest


def test_a_global_that_is_set_anew_is_noticed():
    work = function("RATE = 1\ndef work():\n    return RATE\n")
    assert changes(work, lambda: work.__globals__.update(RATE=2))


def test_a_global_that_is_changed_in_place_is_noticed():
    work = function("NAMES = [{'a': [1]}]\ndef work():\n    return NAMES\n")
    assert changes(work, lambda: work.__globals__["NAMES"][0]["a"].append(2))


def test_a_global_that_appears_is_noticed():
    work = function("def work():\n    return later\n")
    assert changes(work, lambda: work.__globals__.update(later=2))


def test_a_builtin_that_becomes_shadowed_is_noticed():
    work = function("def work():\n    return len([])\n")
    assert changes(work, lambda: work.__globals__.update(len=lambda x: 1))


def test_a_default_that_is_changed_in_place_is_noticed():
    work = function("def work(names=[1]):\n    return names\n")
    assert changes(work, lambda: work.__defaults__[0].append(2))


def test_a_keyword_default_that_is_set_anew_is_noticed():
    work = function("def work(*, n=1):\n    return n\n")
    assert changes(work, lambda: work.__kwdefaults__.update(n=2))


def test_a_closure_cell_that_is_set_anew_is_noticed():
    work = function("def make(n):\n    return lambda: n\nwork = make(1)\n")
    assert changes(work, lambda: setattr(work.__closure__[0], "cell_contents", 2))


def test_code_that_is_replaced_is_noticed():
    work = function("def work():\n    return 1\n")
    assert changes(work, lambda: setattr(work, "__code__", (lambda: 2).__code__))


def test_a_method_that_is_replaced_is_noticed():
    work = function(
        "class A:\n    def f(self):\n        return 1\ndef work():\n    return A().f()\n"
    )
    assert changes(work, lambda: setattr(work.__globals__["A"], "f", lambda self: 2))


def test_the_state_of_a_global_instance_is_noticed():
    work = function("class A:\n    x = [1]\na = A()\ndef work():\n    return a\n")
    assert changes(work, lambda: setattr(work.__globals__["a"], "y", 1))


def test_a_value_that_starts_to_hold_a_function_is_noticed():
    work = function("def f():\n    return 1\nTABLE = []\ndef work():\n    return TABLE\n")
    assert changes(work, lambda: work.__globals__["TABLE"].append(work.__globals__["f"]))


def test_the_state_behind_a_bound_method_is_noticed():
    work = function("NAMES = [1]\nadd = NAMES.append\ndef work():\n    return add\n")
    assert changes(work, lambda: work.__globals__["NAMES"].append(2))


def test_the_state_of_a_callable_object_is_noticed():
    text = "class A:\n    n = 1\n    def __call__(self):\n        return self.n\nwork = A()\n"
    work = function(text)
    assert changes(work, lambda: setattr(work, "n", 2))


def test_a_value_that_a_partial_holds_is_noticed():
    work = function(
        "import functools, operator\nNAMES = [1]\n"
        "run = functools.partial(operator.add, NAMES)\ndef work():\n    return run\n"
    )
    assert changes(work, lambda: work.__globals__["NAMES"].append(2))


def test_a_value_that_a_function_of_the_standard_library_holds_is_noticed():
    work = function(
        "import contextlib\nNAMES = [1]\nget = contextlib.contextmanager(NAMES.copy)\n"
        "def work():\n    return get\n"
    )
    assert changes(work, lambda: work.__globals__["NAMES"].append(2))


def test_an_annotation_that_is_exchanged_is_noticed():
    work = function("class A:\n    x: int\ndef work():\n    return A\n")
    assert changes(work, lambda: work.__globals__["A"].__annotations__.update(x=str))


def test_a_function_attribute_is_noticed():
    work = function("def work():\n    return work.n\n")
    assert changes(work, lambda: setattr(work, "n", 2))


def test_a_reloaded_module_is_noticed(tmp_path):
    text = "def clean():\n    return 1\n"
    files = {
        "proj/pipeline_mod.py": "from proj import features\ndef work():\n    return features.clean()\n",
        "proj/features.py": text,
    }
    with loaded(write(tmp_path, files)) as work:

        def reload() -> None:
            path = tmp_path / "proj/features.py"
            path.write_text(text.replace("1", "1 + 41"), encoding="utf-8")
            importlib.reload(sys.modules["proj.features"])

        assert changes(work, reload)
        assert "1 + 41" in named(fingerprint(work), "proj.features.clean").source


def test_a_file_edited_after_its_import_does_not_count_for_the_running_code(tmp_path):
    files = {"proj/pipeline_mod.py": "def work():\n    return 1\n"}
    with loaded(
        write(tmp_path / "new", {"proj/pipeline_mod.py": "def work():\n    return 2\n"})
    ) as w:
        other = fingerprint(w).digest
    with loaded(write(tmp_path / "old", files)) as work:
        (tmp_path / "old/proj/pipeline_mod.py").write_text("def work():\n    return 2\n")
        found = fingerprint(work)
    assert found.exact
    assert found.digest != other
    assert named(found, "proj.pipeline_mod.work").source == ""


def test_an_unchanged_step_is_not_looked_into_again(monkeypatch):
    work = function("RATE = [1]\ndef f():\n    return RATE\ndef work():\n    return f()\n")
    first = fingerprint(work)

    def fail(*args: object) -> None:
        raise AssertionError("looked into again")

    monkeypatch.setattr(build, "fill", fail)
    assert fingerprint(work) is first


def test_another_way_to_hash_values_is_used():
    work = function("import decimal\nclass V: pass\nVALUE = V()\ndef work():\n    return VALUE\n")
    assert fingerprint(work).exact
    assert fingerprint(work, hash_value=lambda value: digest_of(b"x")).exact


def test_what_is_remembered_is_bounded():
    for n in range(build._CAPACITY + 10):
        fingerprint(function(f"def work():\n    return {n}\n"))
    assert len(build._last) <= build._CAPACITY


def test_eight_threads_get_the_same_fingerprint(tmp_path):
    helpers = "".join(f"def h{n}():\n    return h{n + 1}()\n\n" for n in range(50))
    work = function(helpers + "def h50():\n    return 1\ndef work():\n    return h0()\n")
    found, start = [], threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(fingerprint(work).digest)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_ten_thousand_helpers_in_a_chain_are_followed_to_the_last():
    count = 10_000
    text = "".join(f"def h{n}(x):\n    return h{n + 1}(x) + {n}\n\n" for n in range(count))
    text += f"def h{count}(x):\n    return x\n\ndef work():\n    return h0(1)\n"
    before = function(text)
    after = function(
        text.replace(f"def h{count}(x):\n    return x", f"def h{count}(x):\n    return -x")
    )
    old, new = fingerprint(before), fingerprint(after)
    assert old.exact
    assert len(old.parts) == count + 3
    assert [each.name for each in differences(old.parts, new.parts)] == [f"cell.h{count}"]


def test_a_thousand_functions_that_all_call_each_other_are_followed():
    names = [f"h{n}" for n in range(1000)]
    calls = "".join(f"def {n}(x):\n    return TABLE\n\n" for n in names)
    text = calls + f"TABLE = [{', '.join(names)}]\ndef work():\n    return TABLE\n"
    assert len(fingerprint(function(text)).parts) == 1003


# live objects -----------------------------------------------------------------------------------


def test_a_function_without_any_source_is_known_by_its_bytecode():
    one, two, three = {}, {}, {}
    exec("def work(x):\n    return x + 1", one)
    exec("# a comment\ndef work(y):\n    return y + 1", two)
    exec("def work(x):\n    return x + 2", three)
    found = [fingerprint(names["work"]) for names in (one, one, three)]
    assert all(each.exact for each in found)
    assert found[0].digest == found[1].digest != found[2].digest
    assert fingerprint(two["work"]).digest != found[0].digest


def test_code_with_and_without_its_source_is_the_same():
    text = "import math\nfrom math import *\ndef work(x):\n    '''Doc.'''\n    return [math.sin(y) + x for y in (1, 2)]\n"
    bare: dict[str, object] = {}
    exec(text, bare)
    assert fingerprint(bare["work"]).digest == fingerprint(function(text)).digest


@pytest.mark.parametrize("fn", [len, print, str.upper, "a".join, int, dict.fromkeys, ast.parse])
def test_functions_of_python_itself_are_known_by_name(fn):
    assert fingerprint(fn).exact
    assert fingerprint(fn).digest != fingerprint(abs).digest


def test_a_function_in_c_of_a_distribution_counts_by_its_version():
    numpy = pytest.importorskip("numpy")
    found = fingerprint(numpy.dot)
    assert named(found, "numpy").value == numpy.__version__


def test_a_bound_method_counts_with_its_object():
    cls = function(
        "class A:\n    def __init__(self, n):\n        self.n = n\n    def f(self):\n        return self.n\n",
        "A",
    )
    assert fingerprint(cls(1).f).digest == fingerprint(cls(1).f).digest
    assert fingerprint(cls(1).f).digest != fingerprint(cls(2).f).digest


def test_an_instance_that_hides_state_in_c_has_no_exact_value():
    work = function(
        "import threading\nclass A(threading.local): pass\na = A()\ndef work():\n    return a\n"
    )
    assert "constant cell.a holds a cell.A, which has no exact value" in fingerprint(work).unknown


def test_state_that_its_own_pickling_leaves_out_still_counts():
    text = "class A:\n    def __init__(self, n):\n        self.n = n\n    def __getstate__(self):\n        return {}\n\na = A(1)\ndef work():\n    return a.n\n"
    one, two = (fingerprint(function(t)) for t in (text, text.replace("A(1)", "A(2)")))
    assert one.digest != two.digest


def test_a_value_whose_hash_raises_is_unknown():
    numpy = pytest.importorskip("numpy")
    work = function(
        "def work():\n    return VALUE\n", VALUE=numpy.random.default_rng(1).bit_generator.lock
    )

    def refuse(value: object) -> None:
        raise TypeError(value)

    assert fingerprint(work, hash_value=refuse).digest == fingerprint(work).digest


def test_zenlib_itself_counts_by_version():
    from zenlib._version import __version__

    found = fingerprint(
        function("from zenlib import hashing\ndef work():\n    return hashing.digest_of(b'')\n")
    )
    assert named(found, "zenlib").value == __version__


def test_the_python_version_counts_once():
    assert (
        named(fingerprint(len), "python").value
        == f"{sys.version_info.major}.{sys.version_info.minor}"
    )


# declared dependencies ---------------------------------------------------------------------------


WORK = function("def work():\n    return 1\n")


@pytest.fixture
def project(tmp_path) -> Project:
    write(
        tmp_path,
        {"query.sql": "select 1", "data/a.txt": "a", "data/in/b.txt": "b", "data/empty": ""},
    )
    return Project(tmp_path)


def test_a_declared_file_counts_by_its_content(project):
    def digest() -> str:
        return fingerprint(WORK, extra=["query.sql"], project=project).digest

    before = digest()
    assert digest() == before != fingerprint(WORK, project=project).digest
    (project.root / "query.sql").write_text("select 2")
    assert digest() != before


def test_a_declared_folder_counts_with_every_file_in_it(project):
    before = fingerprint(WORK, extra=[Path("data")], project=project)
    assert [part.name for part in before.parts if part.kind == "file"] == [
        "data",
        "data/a.txt",
        "data/empty",
        "data/in/b.txt",
    ]
    (project.root / "data/in/b.txt").rename(project.root / "data/in/c.txt")
    after = fingerprint(WORK, extra=[Path("data")], project=project)
    assert after.digest != before.digest
    (project.root / "data/in/c.txt").write_text("changed")
    changed = fingerprint(WORK, extra=[Path("data")], project=project)
    texts = [each.text for each in differences(after.parts, changed.parts)]
    assert texts == ["file data/in/c.txt changed (data/in/c.txt)"]


def test_a_declared_file_that_does_not_exist_is_refused_by_name(project):
    with pytest.raises(Invalid, match=r"does not exist: missing\.sql"):
        fingerprint(WORK, extra=["missing.sql"], project=project)


def test_a_declared_function_or_class_counts_with_what_it_reaches():
    one, two = (function(f"N = {n}\ndef helper():\n    return N\n", "helper") for n in (1, 2))
    assert fingerprint(WORK, extra=[one]).digest != fingerprint(WORK, extra=[two]).digest
    assert fingerprint(WORK, extra=[one]) is fingerprint(WORK, extra=[one])


def test_a_declared_module_counts_by_its_source_without_comments(tmp_path):
    files = {"proj/pipeline_mod.py": "def work():\n    return 1\n", "proj/other.py": "x = 1\n"}

    def digest(text: str) -> str:
        root = write(tmp_path / digest_of(text.encode())[3:9], {**files, "proj/other.py": text})
        with loaded(root) as work:
            other = importlib.import_module("proj.other")
            package = importlib.import_module("proj")
            found = fingerprint(work, extra=[other], project=Project(root))
            assert named(found, "module proj.other").where == "proj/other.py"
            assert "module proj.other" not in [p.name for p in fingerprint(work).parts]
            assert package.__name__ == "proj"
        return found.digest

    assert digest("x = 1\n") == digest("# new\nx = 1  # one\n") != digest("x = 2\n")


def test_a_declared_module_of_a_distribution_counts_by_version():
    numpy = pytest.importorskip("numpy")
    found = fingerprint(WORK, extra=[numpy])
    assert named(found, "numpy").value == numpy.__version__
    assert found.digest != fingerprint(WORK).digest


def test_a_declared_module_without_a_file_is_refused():
    with pytest.raises(Invalid, match="has no file; name its functions"):
        fingerprint(WORK, extra=[types.ModuleType("made_up")])


# as data -----------------------------------------------------------------------------------------


def test_parts_survive_json_with_their_sources():
    work = function("RATE = 0.5\ndef f():\n    return RATE\ndef work(n=1):\n    return f()\n")
    found = fingerprint(work)
    data = json.loads(json.dumps([part.to_json() for part in found.parts]))
    assert [Part.from_json(each, found.sources()) for each in data] == list(found.parts)
    assert data[0]["source"] == ""
    assert {each["source"] for each in data} - {""} == set(found.sources())
    assert list(Part.from_json(data[1]).to_json()) == [
        "name",
        "kind",
        "digest",
        "source",
        "where",
        "value",
    ]


def test_parts_are_sorted_and_their_names_unique():
    work = function("a = [lambda: n for n in range(3)]\ndef work():\n    return a\n")
    names = [part.name for part in fingerprint(work).parts]
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    assert (
        sum(name.startswith("cell.<listcomp>.<lambda>") or "<lambda>" in name for name in names)
        >= 3
    )


def test_the_source_of_a_lambda_in_a_cell_is_shown():
    work = function("work = lambda x: (\n    x + 1\n)\n")
    assert "x + 1" in named(fingerprint(work), "cell.<lambda>").source


def test_a_diff_shows_the_lines_that_changed():
    one = function("def work(x):\n    a = 1\n    return x + a\n")
    two = function("def work(x):\n    a = 1\n    return x - a\n")
    (found,) = differences(fingerprint(one).parts, fingerprint(two).parts)
    assert (found.kind, found.change, found.lines) == ("step", "changed", 1)
    assert found.unified_diff().splitlines()[3:] == [
        " def work(x):",
        "     a = 1",
        "-    return x + a",
        "+    return x - a",
    ]


def test_equal_parts_have_no_difference():
    parts = fingerprint(WORK).parts
    assert differences(parts, parts) == []


def test_a_helper_that_is_no_longer_used_is_named():
    one = function("def f():\n    return 1\ndef work():\n    return f()\n")
    two = function("def f():\n    return 1\ndef work():\n    return 1\n")
    texts = [each.text for each in differences(fingerprint(one).parts, fingerprint(two).parts)]
    assert texts == ["step cell.work changed, 1 line", "helper cell.f removed"]


def test_a_source_that_is_gone_has_no_diff():
    old, new = Part("f", "function", "b3:1"), Part("f", "function", "b3:2")
    (found,) = differences([old], [new])
    assert found.unified_diff() == ""
    assert found.text == "helper f changed"


def test_names_of_secrets_hide_their_values():
    work = function("DB_PASSWORD = 'hunter2'\ndef work():\n    return DB_PASSWORD\n")
    assert "hunter2" not in repr([p for p in fingerprint(work).parts if p.kind == "constant"])


def test_showing_a_constant_runs_no_repr_of_the_user():
    work = function(
        "class Loud:\n    def __repr__(self):\n        raise SystemExit\nVALUE = [Loud()]\ndef work():\n    return VALUE\n"
    )
    assert named(fingerprint(work), "cell.VALUE").value == "[<Loud>]"


# whose code is it --------------------------------------------------------------------------------


def test_the_project_starts_at_its_settings(tmp_path, monkeypatch):
    write(tmp_path, {"pyproject.toml": "", "a/b/c.py": ""})
    monkeypatch.chdir(tmp_path / "a/b")
    assert Project().root == tmp_path.resolve()


def test_owners_of_modules():
    numpy = pytest.importorskip("numpy")
    project = Project()
    assert project.owner("json", json.__file__).followed is False
    assert project.owner("sys", None).name == ""
    assert project.owner("numpy", numpy.__file__).name == "numpy"
    assert project.owner("cases", sys.modules["cases"].__file__).followed
    assert project.owner_by_name("no_such_module_at_all").followed
    assert project.owner_by_name("asyncio").followed is False


def test_places_hide_the_machine(tmp_path):
    project = Project(tmp_path)
    assert project.place(str(tmp_path / "a" / "b.py")) == "a/b.py"
    assert project.place(str(tmp_path.parent / "other" / "pkg" / "m.py"), "pkg.m") == "pkg/m.py"
    assert project.place("<cell 1>") == "<cell 1>"


def test_the_code_cache_is_keyed_by_the_code_itself():
    code = WORK.__code__
    assert graph.read(code, {})[1] is graph.read(code, {})[1]


@pytest.mark.skipif(os.name == "nt", reason="a script is started the same way")
def test_a_script_and_a_module_with_the_same_code_are_the_same(tmp_path):
    text = "N = 2\ndef work():\n    return N\n"
    root = write(tmp_path, {"proj/pipeline_mod.py": text})
    script = text + "from zenlib.fingerprint import fingerprint\nprint(fingerprint(work).digest)\n"
    (tmp_path / "script.py").write_text(script)
    run = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == fingerprint_of(root).digest


@pytest.mark.parametrize("file", [ast.__file__, textwrap.__file__, threading.__file__])
def test_the_source_of_every_function_in_a_file_is_found_and_trusted(file):
    module = next(m for m in (ast, textwrap, threading) if m.__file__ == file)
    functions = [
        value
        for owner in (module, *(v for v in vars(module).values() if isinstance(v, type)))
        for value in vars(owner).values()
        if isinstance(value, types.FunctionType) and value.__code__.co_filename == file
    ]
    assert len(functions) > 5
    for fn in functions:
        found = graph.read(fn.__code__, fn.__globals__)[0]
        assert fn.__code__.co_name in found.source
        assert found.line == fn.__code__.co_firstlineno


def test_an_attribute_that_a_library_loads_on_use_is_the_same_before_and_after():
    program = (
        "import zenlib\n"
        "from zenlib.fingerprint import fingerprint\n"
        "def work():\n    zenlib.log(loss=1)\n    return zenlib.context()\n"
        "before = fingerprint(work).digest\n"
        "zenlib.log, zenlib.context\n"
        "print(before == fingerprint(work).digest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_a_function_that_a_library_wraps_counts_by_its_name_and_version():
    program = (
        "from sklearn.model_selection import cross_val_score\n"
        "from zenlib.fingerprint import fingerprint\n"
        "def work():\n    return cross_val_score\n"
        "found = fingerprint(work)\n"
        "print(found.digest, found.unknown)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert "()" in digests.pop()
