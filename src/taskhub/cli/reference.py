"""The reference of the command line, written from its own help: `python -m taskhub.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from taskhub.cli import taskhub
from taskhub.cli.options import Verb, Verbs

HEAD = """# The command line

Made from the commands' own help by `bin/reference`; a test says whether it is current. What goes for all of
them (output, exit codes, colours) stands in [operating](operating.md).
"""


def page() -> str:
    """The whole page, as Markdown: a section a verb in the order of `taskhub --help`."""
    parts = [HEAD, _global_options()]
    parts += [_section(words, command) for words, command in commands(taskhub, ("taskhub",))]
    return "\n".join(parts)


def commands(
    group: click.Group, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group with the words that call it, groups before what they hold."""
    ctx = click.Context(group, info_name=words[-1])
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def _section(words: tuple[str, ...], command: click.Command) -> str:
    ctx = click.Context(command, info_name=" ".join(words))
    mark = "#" * min(len(words), 4)
    usage = " ".join([*words, *command.collect_usage_pieces(ctx)])
    lines = [f"{mark} `{' '.join(words)}`", "", *_text(command), "", "```"]
    examples = command.examples if isinstance(command, Verb | Verbs) else ()
    lines += [*examples, "```", "", f"`{usage}`", ""]
    own = [r for p in command.get_params(ctx) if (r := _record(p, ctx)) is not None]
    lines += _table(own)
    return "\n".join(lines)


def _text(command: click.Command) -> list[str]:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs).split("\n")


def _record(parameter: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    record = parameter.get_help_record(ctx)
    is_everywhere = (parameter.name or "").startswith("global_") or "--help" in parameter.opts
    return None if is_everywhere else record


def _table(records: list[tuple[str, str]]) -> list[str]:
    if not records:
        return []
    rows = [f"| `{_cell(names)}` | {_cell(told).replace('<', '&lt;')} |" for names, told in records]
    return ["| | |", "|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _global_options() -> str:
    ctx = click.Context(taskhub, info_name="taskhub")
    shared = [
        record
        for parameter in taskhub.params
        if (record := parameter.get_help_record(ctx)) is not None
    ]
    told = "Before and after every verb:"
    return "\n".join(["## Global options", "", told, "", *_table(shared)])


if __name__ == "__main__":
    click.echo(page(), nl=False)
