"""``nyx-plugins completion``: the script that makes a shell complete commands, options and plugins."""

from __future__ import annotations

import os

import click

from .failure import Failure

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the script for completion in a shell.")
@click.argument("shell", metavar="[bash|zsh|fish]", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the script that makes a shell complete commands, options, and the plugins of the running service.

    Without an argument it is the script for your login shell. To have it in every new shell:

    \b
      bash  echo 'eval "$(nyx-plugins completion bash)"' >> ~/.bashrc
      zsh   echo 'eval "$(nyx-plugins completion zsh)"' >> ~/.zshrc
      fish  nyx-plugins completion fish \\
              > ~/.config/fish/completions/nyx-plugins.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell or _login_shell())
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "nyx-plugins", "_NYX_PLUGINS_COMPLETE").source())


def _login_shell() -> str:
    name = os.path.basename(os.environ.get("SHELL", ""))
    if name not in SHELLS:
        raise Failure(f"the login shell is {name or 'unknown'}: name one of {', '.join(SHELLS)}")
    return name
