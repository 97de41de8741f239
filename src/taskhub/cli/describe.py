"""`taskhub document describe`: what searches can be narrowed by."""

from __future__ import annotations

from typing import Any

import click

from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, verb
from taskhub.cli.output import write_object
from taskhub.cli.search import Pair


@verb(
    "describe",
    examples=(
        "taskhub document describe 12 year=2025 team=care",
        'taskhub document describe 12 \'tags=["river", "fish"]\' team=null',
    ),
)
@click.argument("document_id", type=int)
@click.argument("pairs", metavar="KEY=VALUE...", type=Pair(), nargs=-1)
def describe(asked: Asked, document_id: int, pairs: tuple[tuple[str, Any], ...]) -> None:
    """Add to a document's metadata, or show it; the value null takes a key away."""
    from taskhub.kb.documents.describe import describe as add
    from taskhub.kb.documents.failures import UnknownDocument

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            told = add(session, document_id, dict(pairs))
    except UnknownDocument as error:
        raise Failed(f"{error}; see `taskhub document ls --dataset NAME`") from error
    write_object(asked, {"document_id": document_id, "metadata": told}, key="document_id")
