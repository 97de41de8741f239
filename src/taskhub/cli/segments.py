"""`taskhub segment`: the passages of documents by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from taskhub.cli.audit import bulk, noted, with_reason
from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, visible, write_object, write_rows

_ids = click.argument("segment_ids", type=click.IntRange(min=1), nargs=-1, required=True)
_COLUMNS = (Column("segment_id", "id", right=True), Column("outcome"))
SHOWN_LINES = 20


@click.group(
    "segment",
    cls=Verbs,
    examples=("taskhub segment ls 7", "taskhub segment import facts.csv --document 7"),
)
def segment() -> None:
    """Segments: the passages that a search finds."""


@contextmanager
def _failing() -> Iterator[None]:
    """What the caller did not know, or gave, is told in one line."""
    from taskhub.kb.documents.failures import UnknownDocument
    from taskhub.kb.documents.switches import ArchivedDocument
    from taskhub.kb.segments.edit import BadSegment, UnknownSegment
    from taskhub.kb.segments.import_csv import BadImport
    from taskhub.kb.segments.imports import UnknownImport

    try:
        yield
    except (
        ArchivedDocument, BadImport, BadSegment, UnknownDocument, UnknownImport, UnknownSegment,
    ) as error:  # fmt: skip
        raise Failed(str(error)) from error


@segment.command("ls", examples=("taskhub segment ls 7", "taskhub segment ls 7 --after 999"))
@click.argument("document_id", type=click.IntRange(min=1))
@click.option("--after", default=-1, help="Begin behind this position.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.pass_obj
def ls(asked: Asked, document_id: int, after: int, limit: int) -> None:
    """A document's segments, in its order."""
    from taskhub.kb.documents.switches import check_known
    from taskhub.kb.segments import look

    hub, _ = asked.hub()
    with _failing(), hub.transaction() as session:
        check_known(session, document_id)
        rows = look.page(session, document_id, after_position=after, limit=limit)
    columns = (
        Column("segment_id", "id", right=True),
        Column("position", right=True),
        Column("state"),
        Column("enabled"),
        Column("edited"),
        Column("tokens", right=True),
        Column("text", show=lambda text: " ".join(text.split())[:200], wide=True),
        Column("answer", wide=True),
        Column("error", wide=True),
    )
    write_rows(asked, rows, columns, key="segment_id")


@segment.command("add", examples=("taskhub segment add 7 'The key hangs behind the clock.'",))
@click.argument("document_id", type=click.IntRange(min=1))
@click.argument("text")
@click.option("--answer", help="What is told, where the text is a question.")
@click.pass_obj
def add(asked: Asked, document_id: int, text: str, answer: str | None) -> None:
    """Add a segment behind the others of a document."""
    from taskhub.kb.ways_in import segments

    hub, _ = asked.hub()
    with _failing():
        job_id = segments.add_segment(hub, document_id, text, answer=answer)
    write_object(asked, {"document_id": document_id, "job_id": job_id}, key="job_id")


@segment.command("set", examples=("taskhub segment set 12 'The key hangs in the hall.'",))
@click.argument("segment_id", type=click.IntRange(min=1))
@click.argument("text")
@click.option("--answer", help="What is told, where the text is a question; default: as it is.")
@click.pass_obj
def set_(asked: Asked, segment_id: int, text: str, answer: str | None) -> None:
    """Give a segment a new text; the old one is found until the new one can be."""
    from taskhub.kb.ways_in import segments

    hub, _ = asked.hub()
    with _failing():
        job_id = segments.edit_segment(hub, segment_id, text, answer=answer)
    outcome = "unchanged" if job_id is None else "deferred"
    told = {"segment_id": segment_id, "outcome": outcome, "job_id": job_id}
    write_object(asked, told, key="segment_id")


@segment.command("enable", examples=("taskhub segment enable 12 13",))
@_ids
@with_reason
@click.pass_context
def enable(ctx: click.Context, segment_ids: tuple[int, ...], reason: str) -> None:
    """Let searches find segments again, at once; exit code 7 if some are not there."""
    _switch(ctx, segment_ids, reason, enabled=True)


@segment.command("disable", examples=("taskhub segment disable 12 13",))
@_ids
@with_reason
@click.pass_context
def disable(ctx: click.Context, segment_ids: tuple[int, ...], reason: str) -> None:
    """Let no search find segments, at once; exit code 7 if some are not there."""
    _switch(ctx, segment_ids, reason, enabled=False)


def _switch(
    ctx: click.Context, segment_ids: tuple[int, ...], reason: str, *, enabled: bool
) -> None:
    from taskhub.kb.ways_in import segments

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    action = f"segment {'enable' if enabled else 'disable'}"
    with noted(hub, action, {"ids": segment_ids}, reason) as entry:
        done = segments.enable_segments(hub, segment_ids, enabled=enabled)
        entry.matched, entry.changed = len(segment_ids), len(done)
    _tell(ctx, segment_ids, done, "enabled" if enabled else "disabled")


def _tell(ctx: click.Context, ids: tuple[int, ...], done: set[int], outcome: str) -> None:
    rows = [{"segment_id": n, "outcome": outcome if n in done else "does not exist"} for n in ids]
    write_rows(ctx.obj, rows, _COLUMNS, key="segment_id")
    if done != set(ids):
        ctx.exit(PARTLY)


@segment.command(
    "rm", examples=("taskhub segment rm 12 13 --dry-run", "taskhub segment rm 12 13 --yes")
)
@_ids
@bulk
@click.pass_context
def rm(
    ctx: click.Context, segment_ids: tuple[int, ...], dry_run: bool, yes: bool, reason: str
) -> None:
    """Delete segments with their vectors, for good; exit code 7 if some are not there."""
    from taskhub.kb.segments import look
    from taskhub.kb.ways_in import segments

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    with hub.transaction() as session:
        there = look.known(session, segment_ids)
    if not dry_run and there:
        confirm(f"delete {len(there)} segments?", yes=yes)
        with noted(hub, "segment rm", {"ids": segment_ids}, reason) as entry:
            there = segments.delete_segments(hub, segment_ids)
            entry.matched, entry.changed = len(segment_ids), len(there)
    _tell(ctx, segment_ids, there, "would be deleted" if dry_run else "deleted")


@segment.command("import", examples=("taskhub segment import facts.csv --document 7",))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--document", "document_id", type=click.IntRange(min=1), required=True)
@click.pass_context
def import_(ctx: click.Context, path: Path, document_id: int) -> None:
    """Add a segment for each row of a CSV file; exit code 7 if some rows cannot be used."""
    from taskhub.kb.ways_in import segments

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    with _failing():
        done = segments.import_segments(hub, document_id, path)
    for line, reason in done.bad[:SHOWN_LINES]:
        say(f"  line {line}: {visible(reason)}")
    if len(done.bad) > SHOWN_LINES:
        say(
            f"  … and {len(done.bad) - SHOWN_LINES} more; see `taskhub segment imports {done.import_id}`"
        )
    told = {
        "import_id": done.import_id,
        "job_id": done.job_id,
        "rows": done.rows,
        "bad_rows": len(done.bad),
    }
    write_object(asked, told, key="import_id")
    if done.bad:
        ctx.exit(PARTLY)


@segment.command("imports", examples=("taskhub segment imports 3",))
@click.argument("import_id", type=click.IntRange(min=1))
@click.pass_obj
def imports(asked: Asked, import_id: int) -> None:
    """How far an import is, and which lines of its file were left out, and why."""
    from taskhub.kb.segments import imports as stored

    hub, _ = asked.hub()
    with _failing(), hub.transaction() as session:
        found = stored.import_status(session, import_id)
        bad = stored.bad_rows(session, import_id)
    told = {
        "import_id": found.import_id,
        "document_id": found.document_id,
        "name": found.name,
        "state": found.shown,
        "rows": found.rows_total,
        "done": found.rows_done,
        "waiting": found.rows_waiting,
        "bad": found.rows_bad,
        "job_id": found.job_id,
        "bad_lines": [f"line {line}: {reason}" for line, reason in bad],
    }
    write_object(asked, told, key="import_id")
