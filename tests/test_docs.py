"""The documentation is true: its snippets run, and nothing that people can use is left out."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import Page, commands, match, same

import zenlib

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(zenlib.__path__, "zenlib.")
    if not name.startswith("zenlib.stores.migrations.env") and name != "zenlib.__main__"
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_snippet_of_a_page_runs_and_prints_what_is_shown(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    try:
        wanted = len(
            re.findall(r"^ *```(?:python|console)$", path.read_text("utf-8"), re.MULTILINE)
        )
        assert Page(path, tmp_path).run() >= wanted
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(tmp_path):
                del sys.modules[name]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_a_page_that_shows_something_else_than_is_printed_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```console\n$ python -c 'print(1)'\n2\n```\n")
    with pytest.raises(Exception, match="does not print what the page shows"):
        Page(page, tmp_path).run()
    page.write_text("```python\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(Exception, match="Expected"):
        Page(page, tmp_path).run()


def test_times_ids_and_digests_do_not_count_when_outputs_are_compared():
    assert same("✓ fit  25 ms  b3:12ab…", "✓ fit     1.2 s  b3:77ee9…")
    assert same("run 01a1fc11-8061", "run 01b2aa00-1234-7d2e-86de-9c72d12cad24")
    assert not same("✓ fit", "✗ fit")
    assert match(["a", "…", "d"], ["a", "b", "c", "d"]) == [("a", "a"), ("d", "d")]
    assert match(["a", "…", "d"], ["a", "b", "c"]) is None
    assert commands("$ one\n1\n\n$ two \\\n  more\n") == [("one", ["1", ""]), ("two   more", [])]


def test_the_generated_reference_is_up_to_date():
    script = ROOT / "scripts" / "docs.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written() -> str:
    return "\n".join(path.read_text("utf-8") for path in PAGES if path.parent.name == "docs")


def test_every_public_name_is_documented(written):
    assert [n for n in zenlib.__all__ if not re.search(rf"`(zenlib\.)?@?{n}\b", written)] == []


def test_every_option_of_steps_and_pipelines_is_documented(written):
    from zenlib import pipelines, steps

    options = {*inspect.signature(steps._options).parameters}
    options |= {*inspect.signature(pipelines._options).parameters}
    assert [name for name in sorted(options) if f"`{name}" not in written] == []


def test_every_command_and_its_options_are_documented(written):
    import click

    from zenlib.cli.main import cli

    def walk(command, path):
        yield command, path
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), f"{path} {name}")

    for command, path in walk(cli, "zenlib"):
        assert f"`{path}" in written, path
        for param in command.params:
            for option in param.opts:
                assert option in written or not option.startswith("--"), f"{path} {option}"


def test_every_setting_variable_and_error_is_documented(written):
    from zenlib import errors
    from zenlib.cli.frame import EXIT_CODES
    from zenlib.settings import environment, fields

    for name in (*fields.FIELDS, *environment.VARIABLES, *environment.OTHERS):
        assert f"`{name}`" in written, name
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind.__module__ == errors.__name__:
            assert f"`{name}`" in written, name
            assert f"`{getattr(kind, 'code', name)}`" in written, name
    for code in EXIT_CODES:
        assert re.search(rf"^\| {code} \|", written, re.MULTILINE), code


def test_every_link_inside_the_documentation_leads_somewhere():
    broken = []
    for page in [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md"), ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            if not found.exists() or (anchor and anchor not in anchors(found)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}
