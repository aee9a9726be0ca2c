"""``allgrad completion``: what makes the shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print what makes your shell complete.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for SHELL; let your shell read it when it starts.

    \b
      bash:  eval "$(allgrad completion bash)"     in ~/.bashrc
      zsh:   eval "$(allgrad completion zsh)"      in ~/.zshrc
      fish:  allgrad completion fish > ~/.config/fish/completions/allgrad.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "allgrad", "_ALLGRAD_COMPLETE").source())
