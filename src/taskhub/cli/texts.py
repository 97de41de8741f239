"""How texts are cut: the options of a rule, and `taskhub document preview`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.output import Column, write_rows
from taskhub.kb.segments.rules import BadRule, Mode, Parent, ProcessRule
from taskhub.settings import Settings

_OPTIONS = (
    click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="The way of cutting."),
    click.option("--tokens", type=int, help="The most that a segment has, 50 to 4000."),
    click.option("--overlap", "overlap_tokens", type=int, help="The tokens that neighbours share."),
    click.option("--separator", help=r"Cut here before all else; \n and \t are understood."),
    click.option(
        "--parent", type=click.Choice([parent.value for parent in Parent]), help="What a parent is."
    ),
    click.option("--child-tokens", type=int, help="The most that a child has."),
    click.option("--remove-extra-spaces", is_flag=True, default=None, help="Fold runs of blanks."),
    click.option(
        "--remove-urls-emails", is_flag=True, default=None, help="Take out web and mail addresses."
    ),
)  # fmt: skip


def rule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of a rule; it gets what was said of them as `**chosen`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def rule_of_options(settings: Settings, chosen: dict[str, Any]) -> ProcessRule:
    """The rule that the options say; what they leave out is the settings' or the default.

    Raises:
        UsageError: an option does not fit the others.
    """
    from taskhub.kb.datasets.rule import default_rule

    said = {name: value for name, value in chosen.items() if value is not None}
    if "separator" in said:
        said["separator"] = said["separator"].replace(r"\n", "\n").replace(r"\t", "\t")
        said.setdefault("mode", Mode.CUSTOM.value)
    elif "parent" in said or "child_tokens" in said:
        said.setdefault("mode", Mode.PARENT_CHILD.value)
    stored = default_rule(settings).stored()
    if "tokens" in said:
        # A short segment under the default overlap is no mistake of whoever asked for it.
        stored["overlap_tokens"] = min(stored["overlap_tokens"], max(0, said["tokens"] // 10))
    try:
        return ProcessRule.of(stored | said)
    except BadRule as error:
        raise click.UsageError(str(error)) from error


@verb(
    "preview",
    examples=(
        "taskhub document preview handbook.docx",
        "taskhub document preview handbook.docx --mode parent_child --child-tokens 80",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pieces", type=click.IntRange(1, 1000), default=10, show_default=True)
@rule_options
def preview(asked: Asked, file: Path, pieces: int, **chosen: Any) -> None:
    """Show the first pieces that a file would be cut into; needs no database and writes nothing."""
    from taskhub.kb.documents.failures import BadDocument

    settings = asked.settings()
    rule = rule_of_options(settings, chosen)
    try:
        found = list(itertools.islice(_pieces(file, rule, settings), pieces + 1))
    except (BadDocument, OSError) as error:
        raise Failed(f"{file}: {error}") from error
    columns: tuple[Column, ...] = (
        Column("position", "piece", right=True),
        Column("tokens", right=True),
        Column("text", show=lambda text: " ".join(text.split())[:300], wide=True),
    )
    if rule.mode is Mode.QA:
        columns += (Column("answer", show=lambda text: " ".join(text.split())[:200], wide=True),)
    if rule.mode is Mode.PARENT_CHILD:
        columns += (Column("children", show=lambda texts: f"{len(texts)}", right=True),)
    write_rows(asked, found[:pieces], columns, key="position")
    if len(found) > pieces:
        say(f"these are the first {pieces}; --pieces shows more")


def _pieces(file: Path, rule: ProcessRule, settings: Settings) -> Iterator[dict[str, Any]]:
    from taskhub.kb.documents.extract import EXTENSIONS, Format, format_of
    from taskhub.kb.documents.limits import Limits
    from taskhub.kb.documents.read import read
    from taskhub.kb.segments.cut import cut

    kind = format_of(file.name)
    if kind is None:
        raise Failed(
            f"file extension must be one of {' '.join(sorted(EXTENSIONS))}, got {file.name}"
        )
    with file.open("rb") as opened:
        blocks = read(opened, kind, rule, Limits.of(settings))
        found = cut(blocks, rule, markdown=kind is Format.MARKDOWN, left_out=say)
        for position, piece in enumerate(found):
            shown = dataclasses.asdict(piece)
            yield {"position": position, **shown, "children": [c.text for c in piece.children]}
