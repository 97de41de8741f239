"""`taskhub completion`: what makes Tab work in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from taskhub.cli.options import Asked, say, verb

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_TASKHUB_COMPLETE"
# Where each shell looks for what it reads by itself.
PLACES = {
    "bash": "~/.local/share/bash-completion/completions/taskhub",
    "zsh": "a folder of $fpath, as _taskhub",
    "fish": "~/.config/fish/completions/taskhub.fish",
}


@verb(
    "completion",
    examples=(
        "taskhub completion bash",
        "taskhub completion fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, _asked: Asked, shell: str) -> None:
    """Print what a shell reads to complete verbs, options, and names out of the database.

    Queues, tasks, limit keys, schedules and datasets come from the database that the options and settings
    name, within half a second; where it is away there are none, and nothing is said.
    """
    root = ctx.find_root()
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"shell must be one of {', '.join(SHELLS)}, got {shell!r}")
    made = found(root.command, {}, "taskhub", VARIABLE)
    click.echo(_script(made))
    say(f"to keep it, write this to {PLACES[shell]}")


def _script(made: click.shell_completion.ShellComplete) -> str:
    # Not made.source(): for bash it starts bash to look at its version, and dislikes the old one of macOS.
    return made.source_template % made.source_vars()
