"""The frame that every command stands in: common options, commands loaded on use, exit codes."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from zenlib.cli import output
from zenlib.cli.output import Output
from zenlib.errors import ZenlibError, ZenlibWarning
from zenlib.wording import nearest

EXIT_CODES = {
    0: "done",
    1: "the run failed",
    2: "wrong use: an unknown command, option or value",
    3: "settings: a file or variable is wrong",
    4: "unavailable: a store cannot be reached, is full or is locked",
    5: "denied: not allowed",
    6: "not found",
    7: "corrupt: stored bytes are missing or changed",
    8: "conflict: somebody else was first, or it exists already",
    70: "an error inside zenlib",
    130: "interrupted",
}
"""What the command line returns."""

_JSON, _FULL = "--json", "--full-traceback"


def _asked(args: Sequence[str], flag: str) -> bool:
    # Looked at before parsing: an error of the parser, too, answers in the form asked for.
    return flag in (args[: args.index("--")] if "--" in args else args)


class _Common(click.Command):
    """Gives a command the options that all of them have."""

    def __init__(self, *args: Any, **extra: Any) -> None:
        settings = extra.setdefault("context_settings", {})
        settings.setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **extra)
        self.params += [
            click.Option([_JSON], is_flag=True, expose_value=False, help="Print JSON."),
            click.Option(
                [_FULL],
                is_flag=True,
                expose_value=False,
                help="Show all frames of an error, not only yours.",
            ),
        ]


class Command(_Common):
    """A command; `--json` and `--full-traceback` come with it.

    Its function gets the invocation's `Output` by `@click.pass_obj`.
    """


class Group(_Common, click.Group):
    """A group whose commands and subgroups have the common options."""

    command_class = Command
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            hint = nearest(name, known)
            listed = "" if hint else f"; known: {', '.join(known)}"
            raise click.UsageError(f"no command {name[:60]!r}{hint}{listed}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """The root: its commands are modules that are imported when they are used.

    Args:
        table: name -> (`module:attribute`, one line of help).
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, importing none."""
        found = [
            CompletionItem(name, help=words)
            for name, (_, words) in self.table.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        """Run a command; leave with its exit code, or return it when not `standalone_mode`."""
        given = list(sys.argv[1:] if args is None else args)
        out = Output.detect(json=_asked(given, _JSON))
        full = out.full = _asked(given, _FULL) or bool(os.environ.get("ZENLIB_DEBUG"))

        def invoke() -> object:
            return super(LazyGroup, self).main(
                args=None if args is None else given,
                prog_name=prog_name or "zenlib",
                standalone_mode=False,
                obj=out,
                **extra,
            )

        with _warnings_shown(out):
            code = _guarded(invoke, out, full)
        if standalone_mode:
            sys.exit(code)
        return code


@contextmanager
def _warnings_shown(out: Output) -> Iterator[None]:
    """Show zenlib's own warnings as messages; those of others as Python does."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if issubclass(category, ZenlibWarning):
                out.warning(str(message))
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        warnings.simplefilter("once", ZenlibWarning)
        yield


def _guarded(invoke: Callable[[], object], out: Output, full: bool) -> int:
    """Run a command and turn whatever it raises into messages and an exit code."""
    try:
        returned = invoke()
        output.flush()
    except ZenlibError as error:
        return _failed(error, out, full)
    except click.exceptions.Abort:
        out.error("interrupted", "interrupted")
        return 130
    except click.ClickException as error:
        return _misused(error, out)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1 if error.code else 0
    except Exception as error:  # noqa: BLE001 - the outermost edge: nobody sees a bare traceback
        return _unexpected(error, out, full)
    return returned if isinstance(returned, int) and not isinstance(returned, bool) else 0


def _failed(error: ZenlibError, out: Output, full: bool) -> int:
    if full:
        out.note("".join(traceback.format_exception(error)).rstrip())
    text = str(error)
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    out.error(text + notes, error.code)
    return error.exit_code


def _misused(error: click.ClickException, out: Output) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        if out.json:
            out.error("a command is missing", "usage")
        else:
            out.note(error.format_message())
        return 2
    message = error.format_message().rstrip(".")
    out.error(message[:1].lower() + message[1:], "usage")
    if context is not None:
        out.note(f"  see: {context.command_path} --help")
    return 2


def _unexpected(error: Exception, out: Output, full: bool) -> int:
    if full:
        out.note("".join(traceback.format_exception(error)).rstrip())
    words = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    out.error(words, "internal")
    if not full:
        out.note("  this is a defect of zenlib; for all of it, add --full-traceback")
    return 70
