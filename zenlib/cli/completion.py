"""`zenlib completion`: the script that teaches a shell to complete zenlib's commands."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from zenlib.cli.frame import Command
from zenlib.cli.output import Output
from zenlib.errors import ZenlibError

_HOW = {
    "bash": 'add to ~/.bashrc:  eval "$(zenlib completion bash)"',
    "zsh": 'add to ~/.zshrc:  eval "$(zenlib completion zsh)"',
    "fish": "run:  zenlib completion fish > ~/.config/fish/completions/zenlib.fish",
}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  add to ~/.bashrc:  eval "$(zenlib completion bash)"
    zsh   add to ~/.zshrc:   eval "$(zenlib completion zsh)"
    fish  zenlib completion fish > ~/.config/fish/completions/zenlib.fish
    """
    out: Output = ctx.obj
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "zenlib", "_ZENLIB_COMPLETE")
    # Not bash's own `source`: it starts a bash to ask for its version.
    text = ShellComplete.source(script)
    out.object({"shell": shell, "script": text, "install": _HOW[shell]}, text.strip("\n"))


def stack_names(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a stack; nothing while the settings are wrong."""
    from zenlib.settings import stacks

    try:
        return [
            CompletionItem(info.name, help=info.source)
            for info in stacks()
            if info.name.startswith(incomplete)
        ]
    except ZenlibError:
        return []
