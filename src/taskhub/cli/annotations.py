"""`taskhub annotation`: answers that were written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from taskhub.cli.apps import TENANT, app_id_of
from taskhub.cli.audit import bulk, noted, with_reason
from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, write_object, write_rows

_BAD = (Column("line", right=True), Column("reason", wide=True))
_ROWS = (
    Column("id", right=True), Column("enabled"), Column("hits", right=True),
    Column("question", wide=True), Column("answer", wide=True), Column("index_error", wide=True),
)  # fmt: skip


@click.group(
    "annotation",
    cls=Verbs,
    examples=(
        "taskhub annotation import faq.csv --app-name helpdesk",
        "taskhub annotation match 'Where is the key?' --app-name helpdesk",
    ),
)
def annotation() -> None:
    """Answers written by hand, given where a question is near enough."""


def _of_app(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--tenant", default=TENANT, show_default=True)(function)
    return click.option("--app-name", required=True, help="The app's name.")(function)


@contextmanager
def _failures() -> Iterator[None]:
    """Tell the user what the knowledge base refuses."""
    from taskhub.kb.vectors.embedders import UnknownEmbedder

    try:
        yield
    except (ValueError, LookupError) as error:
        if not type(error).__module__.startswith("taskhub.") and type(error) is not ValueError:
            raise
        hint = "; see `taskhub config`" if isinstance(error, UnknownEmbedder) else ""
        raise Failed(f"{error}{hint}") from error


@annotation.command("import", examples=("taskhub annotation import faq.csv --app-name helpdesk",))
@click.argument("file", type=click.Path(path_type=Path))
@_of_app
@click.pass_context
def import_(ctx: click.Context, file: Path, app_name: str, tenant: str) -> None:
    """Import a CSV file of questions and answers; exit code 7 if some rows are bad, each is named."""
    from taskhub.kb.annotations import imports
    from taskhub.kb.ways_in import annotations as ways_in

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    content = _read(file, hub.settings.annotation_import_bytes)
    with _failures():
        taken = ways_in.import_annotations(hub, app_id, file.name, content)
    with hub.transaction() as session:
        report = imports.report(session, taken.import_id)
    for row in report.bad:
        say(f"  line {row.line}: {row.reason}")
    say("a worker of the queue annotation imports the others")
    told = {"import_id": taken.import_id, "job_id": taken.job_id, "encoding": report.encoding,
            "rows": taken.rows, "bad": taken.bad}  # fmt: skip
    write_object(asked, told, key="import_id")
    if taken.bad:
        ctx.exit(PARTLY)


def _read(file: Path, max_bytes: int) -> bytes:
    try:
        with file.open("rb") as opened:
            # One byte more than is allowed: enough to refuse a large file, without reading it all.
            return opened.read(max_bytes + 1)
    except OSError as error:
        raise Failed(f"{file} could not be read: {error.strerror}") from error


@annotation.command("report", examples=("taskhub annotation report 3",))
@click.argument("import_id", type=int)
@click.pass_obj
def report(asked: Asked, import_id: int) -> None:
    """How an import stands, with the line and the reason of each bad row."""
    from taskhub.kb.annotations import imports

    hub, _ = asked.hub()
    with _failures(), hub.transaction() as session:
        found = imports.report(session, import_id)
    done = "finished" if found.finished else f"under way, see `taskhub show {found.job_id}`"
    say(f"{found.name}: {done}; {found.imported} of {found.rows} rows imported, "
        f"{found.waiting} wait, {len(found.bad)} bad")  # fmt: skip
    write_rows(asked, found.bad, _BAD, key="line")


@annotation.command("ls", examples=("taskhub annotation ls --app-name helpdesk",))
@_of_app
@click.option("--after", type=int, default=0, help="Only ids above this one.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.pass_obj
def ls(asked: Asked, app_name: str, tenant: str, after: int, limit: int) -> None:
    """An app's annotations, by id."""
    from taskhub.kb.annotations.write import page

    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    with hub.transaction() as session:
        rows = [
            {"id": a.id, "enabled": a.enabled, "hits": a.hit_count, "question": a.question,
             "answer": a.answer, "index_error": a.index_error}
            for a in page(session, app_id, after_id=after, limit=limit)
        ]  # fmt: skip
    write_rows(asked, rows, _ROWS)


@annotation.command(
    "add",
    examples=(
        "taskhub annotation add 'Where is the key?' 'Behind the clock.' --app-name helpdesk",
    ),
)
@click.argument("question")
@click.argument("answer")
@_of_app
@click.pass_obj
def add(asked: Asked, question: str, answer: str, app_name: str, tenant: str) -> None:
    """Write an annotation."""
    from taskhub.kb.ways_in.annotations import add_annotation

    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    with _failures():
        made = add_annotation(hub, app_id, question, answer)
    write_object(asked, {"id": made.annotation_id, "job_id": made.job_id})


@annotation.command(
    "set",
    examples=(
        "taskhub annotation set 7 --answer 'Under the mat.'",
        "taskhub annotation set 7 --off",
    ),
)
@click.argument("annotation_id", type=int)
@click.option("--question")
@click.option("--answer")
@click.option("--on/--off", "enabled", default=None, help="Whether it answers.")
@click.pass_obj
def set_(
    asked: Asked, annotation_id: int, question: str | None, answer: str | None, enabled: bool | None
) -> None:
    """Change an annotation; a new question answers once a worker has indexed it."""
    from taskhub.kb.ways_in.annotations import edit_annotation

    if question is None and answer is None and enabled is None:
        raise click.UsageError("give --question, --answer, --on or --off")
    hub, _ = asked.hub()
    with _failures():
        made = edit_annotation(
            hub, annotation_id, question=question, answer=answer, enabled=enabled
        )
    write_object(asked, {"id": made.annotation_id, "job_id": made.job_id})


@annotation.command("rm", examples=("taskhub annotation rm 7 8 --app-name helpdesk --dry-run",))
@click.argument("annotation_ids", type=int, nargs=-1, required=True)
@_of_app
@bulk
@click.pass_context
def rm(
    ctx: click.Context, annotation_ids: tuple[int, ...], app_name: str, tenant: str,
    dry_run: bool, yes: bool, reason: str,
) -> None:  # fmt: skip
    """Remove annotations with their hits; exit code 7 if some are not there."""
    from taskhub.kb.cleaning import batches, kinds
    from taskhub.kb.ways_in.annotations import delete_annotations

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    if dry_run:
        with hub.transaction() as session:
            owned = kinds.owned(kinds.table("annotations"), annotation_ids)
            write_object(asked, batches.count(session, owned), key="annotations")
        return
    confirm(f"delete {len(annotation_ids)} annotations?", yes=yes)
    told = {"app": app_name, "ids": annotation_ids}
    with noted(hub, "annotation rm", told, reason) as entry:
        gone = delete_annotations(hub, app_id, annotation_ids)
        entry.matched, entry.changed = len(annotation_ids), len(gone.annotation_ids)
    write_object(
        asked, {"deleted": len(gone.annotation_ids), "job_ids": gone.job_ids}, key="deleted"
    )
    if gone.missing:
        say(f"not there: {', '.join(map(str, gone.missing))}")
        ctx.exit(PARTLY)


@annotation.command(
    "enable", examples=("taskhub annotation enable --app-name helpdesk --threshold 0.9",)
)
@_of_app
@click.option("--threshold", type=float, default=0.9, show_default=True,
              help="How near a question must be; 1 is the same text.")  # fmt: skip
@click.option("--model", help="The embedder. [default: the setting embedder]")
@with_reason
@click.pass_obj
def enable(
    asked: Asked, app_name: str, tenant: str, threshold: float, model: str | None, reason: str
) -> None:
    """Let an app answer by its annotations, or change how; until it is built, nothing changes."""
    from taskhub.kb.ways_in.annotations import enable_reply

    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    told = {"app": app_name, "tenant": tenant, "threshold": threshold, "model": model}
    with _failures(), noted(hub, "annotation enable", told, reason):
        job_id = enable_reply(hub, app_id, score_threshold=threshold, model=model)
    say("a worker of the queue annotation builds the vectors and switches over")
    write_object(asked, {"job_id": job_id}, key="job_id")


@annotation.command("disable", examples=("taskhub annotation disable --app-name helpdesk",))
@_of_app
@with_reason
@click.pass_obj
def disable(asked: Asked, app_name: str, tenant: str, reason: str) -> None:
    """Let an app answer by no annotation from now on; the annotations stay."""
    from taskhub.kb.ways_in.annotations import disable_reply

    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    with noted(hub, "annotation disable", {"app": app_name, "tenant": tenant}, reason):
        job_id = disable_reply(hub, app_id)
    write_object(asked, {"job_id": job_id}, key="job_id")


@annotation.command(
    "match", examples=("taskhub annotation match 'Where is the key?' --app-name helpdesk",)
)
@click.argument("question")
@_of_app
@click.option("--record/--no-record", default=False, help="Count it as a hit.")
@click.pass_obj
def match(asked: Asked, question: str, app_name: str, tenant: str, record: bool) -> None:
    """The annotation that answers a question; exit code 1 if none is near enough."""
    from taskhub.kb.annotations.match import match as find

    hub, _ = asked.hub()
    app_id = app_id_of(hub, app_name, tenant)
    with _failures(), hub.transaction() as session:
        found = find(session, app_id, question, record=record)
    if found is None:
        raise Failed("no annotation is near enough, or the app does not answer by annotations")
    write_object(asked, found, key="annotation_id")
