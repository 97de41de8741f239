"""Every command has help and examples that parse, and stands in a page of the documentation."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from taskhub.cli import taskhub
from taskhub.cli.options import Asked

ROOT = Path(__file__).parents[2]
# The reference is made from the commands: it holds all of them whatever anybody wrote.
GUIDES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "cli.md"]
PAGES = [ROOT / "README.md", *GUIDES]


def commands(
    group: click.Group = taskhub, names: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join((*names, name)), command


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_a_command_stands_in_a_page(name: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert re.search(rf"taskhub (-A \S+ )?{name}\b", text), f"no page says `taskhub {name}`"


@pytest.mark.parametrize("name", ALL)
def test_a_command_says_what_it_does(name: str) -> None:
    assert (ALL[name].help or "").strip()


@pytest.mark.parametrize("name", ALL)
def test_the_examples_of_a_command_are_understood(name: str) -> None:
    examples = getattr(ALL[name], "examples", ())
    assert examples

    for example in examples:
        for part in example.split("|"):
            words = shlex.split(part)
            if words[0] == "taskhub":
                understood(taskhub, words[1:])


def understood(command: click.Command, words: list[str]) -> None:
    """Read the words as the command line does, and run nothing."""
    ctx = command.make_context("taskhub", words, obj=Asked())
    while isinstance(command, click.Group) and ctx._protected_args:
        name, below, rest = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert below is not None, name
        command = below
        ctx = command.make_context(str(name), rest, parent=ctx)
