import json
import os
import re
import subprocess
import sys

import click
import pytest

from zenlib import errors
from zenlib._version import __version__
from zenlib.cli.frame import EXIT_CODES, Command, Group, LazyGroup
from zenlib.cli.main import COMMANDS, cli
from zenlib.cli.tables import width_of

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX streams")


# The start


@pytest.mark.parametrize("args", [["--version"], ["version"]])
def test_the_version_is_told_without_loading_anything(args, place):
    code = (
        "import sys; from zenlib.cli.entry import main; before = set(sys.modules)\n"
        f"sys.argv = ['zenlib', *{args!r}]\n"
        "code = main(); new = set(sys.modules) - before\n"
        "assert not new, new\n"
        "assert not {'click', 'pydantic', 'typing', 'json'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(_root())!r})\n{code}"], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"zenlib {__version__}\n", "")


def _root():
    from pathlib import Path

    import zenlib

    return Path(zenlib.__file__).parent.parent


def test_the_version_as_json(zen):
    assert zen("version", "--json").json["version"] == __version__
    assert zen("--version", "--json").json == {"version": __version__}
    assert zen("--json", "version").json["version"] == __version__


def test_help_lists_every_command_and_imports_none(place):
    code = (
        "import sys; from zenlib.cli.main import cli\n"
        "code = cli.main(['--help'], standalone_mode=False)\n"
        "assert not any(m.startswith(('zenlib.cli.stack', 'zenlib.settings', 'pydantic')) for m in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    for name, (_, words) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(words)}$", done.stdout, re.MULTILINE)
    for code, words in EXIT_CODES.items():
        assert f"{code}  {words}" in done.stdout


def test_every_command_of_the_frame_has_json_and_full_traceback():
    def walk(command):
        yield command
        for child in getattr(command, "commands", {}).values():
            yield from walk(child)

    context = click.Context(cli)
    for name in ("init", "stack", "config", "completion", "version"):
        for command in walk(cli.get_command(context, name)):
            options = {option for param in command.params for option in param.opts}
            assert {"--json", "--full-traceback"} <= options, command.name
            assert command.help, command.name


# Errors and exit codes


def broken(error):
    """A command line with one command that raises."""
    root = Group("root")

    @root.command()
    def fail():
        raise error

    table = {"fail": ("unused:unused", "Fails.")}
    lazy = LazyGroup("zenlib", table=table)
    lazy.get_command = lambda ctx, name: root.commands.get(name)
    return lazy


def run(command, *args):
    from click.testing import CliRunner

    return CliRunner().invoke(command, list(args))


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ZenlibError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_error_has_its_exit_code_and_its_code(kind, place):
    error = kind("what happened\nwhat to do")
    found = run(broken(error), "fail")
    assert found.exit_code == kind.exit_code
    assert found.stdout == ""
    assert found.stderr == "error: what happened\n  what to do\n"
    found = run(broken(error), "fail", "--json")
    assert found.exit_code == kind.exit_code
    assert json.loads(found.stdout) == {
        "error": {"code": kind.code, "message": "what happened\nwhat to do"}
    }
    assert found.stderr == "error: what happened\n  what to do\n"
    assert kind.exit_code in EXIT_CODES


def test_the_full_traceback_of_an_expected_error_is_shown_on_request(place):
    found = run(broken(errors.NotFound("no run")), "fail", "--full-traceback")
    assert "Traceback (most recent call last)" in found.stderr
    assert found.stderr.endswith("error: no run\n")


def test_an_unexpected_error_is_one_line_and_a_hint(place, monkeypatch):
    found = run(broken(RuntimeError("boom")), "fail")
    assert found.exit_code == 70
    assert found.stderr == (
        "error: RuntimeError: boom\n"
        "  this is a defect of zenlib; for all of it, add --full-traceback\n"
    )
    monkeypatch.setenv("ZENLIB_DEBUG", "1")
    found = run(broken(RuntimeError("boom")), "fail", "--json")
    assert found.exit_code == 70
    assert "Traceback (most recent call last)" in found.stderr
    assert json.loads(found.stdout)["error"]["code"] == "internal"


def test_an_interrupt_ends_with_130(place):
    found = run(broken(KeyboardInterrupt()), "fail")
    assert found.exit_code == 130
    assert found.stderr.endswith("error: interrupted\n")
    assert run(broken(errors.RunCancelled("the run was cancelled")), "fail").exit_code == 130


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (None, 0), ("words", 1)])
def test_sys_exit_in_a_command_keeps_its_code(code, expected, place):
    assert run(broken(SystemExit(code)), "fail").exit_code == expected


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["stak"], "no command 'stak'; did you mean 'stack'?"),
        (["stack", "lst"], "no command 'lst'; did you mean 'list'?"),
        (["zzzz"], "no command 'zzzz'; known: init, run"),
        (["x" * 10_000], "no command 'xxxxx"),
        (["stack", "list", "--jsn"], "no such option '--jsn'"),
        (["stack", "register"], "missing argument 'NAME'"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["config", "metadata", "set", "mysql", "--username", "z", "--port", "0"], "0 is not in the range"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_and_where_to_read(args, words, zen):
    found = zen(*args)
    assert found.code == 2
    assert found.out == ""
    assert words in found.err
    assert re.search(r"\n  see: zenlib[a-z ]* --help\n$", found.err)
    assert len(found.err) < 500
    as_json = zen("--json", *args)
    assert as_json.code == 2
    assert as_json.json["error"]["code"] == "usage"
    assert words in as_json.json["error"]["message"]


def test_no_command_shows_the_help(zen):
    assert zen().code == 2
    assert "Commands:" in zen().err
    assert zen("--json").json["error"]["code"] == "usage"


def test_our_warnings_are_messages(zen, monkeypatch):
    monkeypatch.setenv("ZENLIB_STAK", "x")
    found = zen("stack", "list", "--json")
    assert found.code == 0
    assert isinstance(found.json, list)
    assert found.err.count("warning: the environment variable ZENLIB_STAK means nothing") == 1


# Streams, colours and widths: real processes


@posix
def test_a_reader_that_goes_away_ends_a_listing_quietly(zenlib, place):
    (place / "zenlib.toml").write_text("".join(f"[stacks.s{i}]\n" for i in range(300)))
    command = f"{sys.executable} -m zenlib stack list | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["0"]


@posix
@pytest.mark.parametrize("args", ["--version", "stack list", "stack nonsense"])
def test_closed_streams_do_no_harm(args, place):
    command = f"{sys.executable} -m zenlib {args} >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == (2 if "nonsense" in args else 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_stdout_is_an_error(place):
    command = f"{sys.executable} -m zenlib stack list > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


def test_an_ascii_locale_gets_words_instead_of_glyphs(zenlib, place):
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "COLUMNS": "90"}
    ascii_only["PYTHONIOENCODING"] = "ascii"
    file = place / "zenlib.toml"
    file.write_text("[stacks.default]\nartifact_store = 's3://é/日本'\n", encoding="utf-8")
    found = zenlib("stack", "list", env=ascii_only)
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[1].startswith("*  default")
    assert "s3://\\xe9/\\u65e5\\u672c" in found.out
    file.write_text("[stacks.default]\nartifact_store = './é'\n", encoding="utf-8")
    found = zenlib("stack", "list", env=ascii_only)
    if sys.platform == "linux":  # elsewhere file names are Unicode whatever the locale
        assert (found.code, found.out) == (3, "")
        assert "the locale's encoding is ascii" in found.err


@posix
def test_a_terminal_gets_colours_and_a_pipe_does_not(zenlib, place):
    assert "\x1b" not in zenlib("stack", "list").out
    assert "\x1b[32m" in zenlib("stack", "list", env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in zenlib("stack", "list", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out
    assert "\x1b" not in zenlib("stack", "list", "--json", env={"FORCE_COLOR": "1"}).out
    assert "\x1b[32m" in in_terminal("stack", "list")
    assert "\x1b[32m" not in in_terminal("stack", "list", TERM="dumb")


def in_terminal(*args, **env):
    """Run a command on a terminal of 80 columns and return what the terminal showed."""
    import fcntl
    import pty
    import struct
    import termios

    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "zenlib", *args]
    environment = {**os.environ, "TERM": "xterm", **env}
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    shown = b""
    while True:
        try:
            data = os.read(main, 4096)
        except OSError:  # Linux says so when the last process has closed the terminal
            break
        if not data:
            break
        shown += data
    process.wait(60)
    os.close(main)
    return shown.decode()


@posix
def test_lines_fit_the_terminal(place):
    (place / "zenlib.toml").write_text(f"[stacks.x]\nartifact_store = 's3://{'b' * 300}'\n")
    shown = in_terminal("stack", "list", NO_COLOR="1").splitlines()
    assert len(shown) == 3
    assert max(len(line) for line in shown) <= 80


@pytest.mark.parametrize("columns", ["20", "1", "0", "45", "80", "10000", "x"])
def test_no_width_is_too_small(columns, zen, monkeypatch, place):
    (place / "zenlib.toml").write_text("[stacks.x]\nartifact_store = 's3://bucket/folder'\n")
    monkeypatch.setenv("COLUMNS", columns)
    for args in (["stack", "list"], ["config", "explain"], ["--help"], ["stack", "describe"]):
        found = zen(*args)
        assert found.code == 0, found
    if columns.isdecimal() and int(columns) < 10_000:
        lines = zen("config", "explain").out.splitlines()
        assert max(width_of(line) for line in lines) <= max(20, int(columns))


def test_a_command_gets_the_output_it_prints_to(place):
    @click.command(cls=Command)
    @click.pass_obj
    def hello(out):
        out.object({"said": "hello"}, "hello")
        out.line("for people only")

    lazy = LazyGroup("zenlib", table={"hello": ("x:y", "Says hello.")})
    lazy.get_command = lambda ctx, name: hello
    assert run(lazy, "hello").stdout == "hello\nfor people only\n"
    assert json.loads(run(lazy, "hello", "--json").stdout) == {"said": "hello"}
