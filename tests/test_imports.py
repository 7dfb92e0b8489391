"""What importing costs, counted; and which names are public."""

import subprocess
import sys

import pytest

import zenlib

DECORATE = """
import zenlib
from zenlib import step, pipeline

@step(retries=2, timeout=3, tags=["a"])
def load(n: int) -> int:
    return n

@pipeline
def training(n: int = 1):
    return load(n)

assert load(2) == 2
"""

HEAVY = [
    "alembic",
    "asyncio",
    "blake3",
    "click",
    "cloudpickle",
    "concurrent",
    "dataclasses",
    "fsspec",
    "gcsfs",
    "http",
    "inspect",
    "json",
    "keyring",
    "logging",
    "numpy",
    "pandas",
    "platformdirs",
    "polars",
    "pyarrow",
    "pydantic",
    "pydantic_settings",
    "pymysql",
    "s3fs",
    "skops",
    "sklearn",
    "sqlalchemy",
    "sqlite3",
    "subprocess",
    "threading",
    "tomlkit",
    "typing",
]


def modules_after(code: str) -> set[str]:
    program = code + "\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_and_decorating_loads_few_modules_and_none_that_is_heavy():
    loaded = modules_after(DECORATE)
    assert len(loaded) <= 60
    assert sorted(loaded & set(HEAVY)) == []


def test_the_version_is_known_without_loading_anything_heavy():
    code = "import sys; sys.argv = ['zenlib', '--version']\nfrom zenlib.cli.entry import main\n"
    loaded = modules_after(code + "try: main()\nexcept SystemExit: pass")
    assert sorted(loaded & set(HEAVY)) == []


def test_every_public_name_exists_and_is_listed_once_in_order():
    names = zenlib.__all__
    assert sorted(set(names)) == sorted(names)
    for name in names:
        assert getattr(zenlib, name) is not None
    assert dir(zenlib) == names


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zenlib.nothing


def test_a_function_and_a_module_never_fight_for_one_name():
    code = "import zenlib, zenlib.running\nassert callable(zenlib.context), zenlib.context"
    modules_after(code)
