"""What is asked of annotations, and deferred in the transaction that makes it necessary."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskhub.kb.annotations import imports, reply, write
from taskhub.kb.annotations.read_csv import read_csv
from taskhub.kb.apps import create as apps
from taskhub.kb.tasks import annotations as tasks
from taskhub.kb.vectors.embedders import embedder
from taskhub.queue import Hub

DELETE_ANNOTATIONS = 1000


@dataclass(frozen=True, slots=True)
class Written:
    """An annotation, and the job that makes it answer; None where none is needed."""

    annotation_id: int
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Imported:
    """A file that was taken in; its report is there at once, and grows as the job works."""

    import_id: int
    job_id: int
    rows: int
    bad: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of annotations: to be removed by these jobs, or not there at all."""

    annotation_ids: list[int]
    missing: list[int]
    job_ids: list[int]


def add_annotation(
    hub: Hub, app_id: int, question: str, answer: str, *, message_id: int | None = None
) -> Written:
    """Write an annotation and have it indexed.

    Raises:
        UnknownApp: there is none, or it is being deleted.
        BadAnnotation: the question or the answer cannot be taken.
    """
    with hub.transaction() as session:
        apps.get(session, app_id)
        made = write.add(session, app_id, question, answer, message_id=message_id)
        # Also where the app does not answer by annotations now: somebody may be switching it on.
        job = tasks.add_annotation_index.options(session=session).defer(app_id, made.id)
        return Written(made.id, job.id)


def edit_annotation(
    hub: Hub,
    annotation_id: int,
    *,
    question: str | None = None,
    answer: str | None = None,
    enabled: bool | None = None,
) -> Written:
    """Change an annotation; a job follows where its vector must change: another question, on or off.

    Raises:
        UnknownAnnotation: there is none.
        BadAnnotation: the question or the answer cannot be taken.
    """
    with hub.transaction() as session:
        before = write.get(session, annotation_id)
        old_sha256, was_enabled = before.sha256, before.enabled
        now = write.edit(session, annotation_id, question=question, answer=answer, enabled=enabled)
        if not now.enabled and was_enabled:
            gone = tasks.delete_annotation_index.options(session=session)
            return Written(annotation_id, gone.defer(now.app_id, [annotation_id]).id)
        if now.enabled and (now.sha256 != old_sha256 or not was_enabled):
            update = tasks.update_annotation_index.options(session=session)
            return Written(annotation_id, update.defer(now.app_id, annotation_id).id)
        return Written(annotation_id, None)


def delete_annotations(hub: Hub, app_id: int, annotation_ids: Sequence[int]) -> Deleted:
    """Let annotations answer nothing at once, and remove them with their vectors and hits.

    Each thousand is a transaction and a job of its own; ids that the app does not have are told.
    """
    ids = sorted(set(annotation_ids))
    found: list[int] = []
    job_ids: list[int] = []
    for start in range(0, len(ids), DELETE_ANNOTATIONS):
        with hub.transaction() as session:
            some = write.hide(session, app_id, ids[start : start + DELETE_ANNOTATIONS])
            if some:
                gone = tasks.delete_annotation_index.options(session=session)
                job_ids.append(gone.defer(app_id, some, with_rows=True).id)
        found += some
    return Deleted(found, sorted(set(ids) - set(found)), job_ids)


def import_annotations(hub: Hub, app_id: int, name: str, content: bytes) -> Imported:
    """Store the rows of a CSV file and have them imported; bad ones are told at once.

    Raises:
        UnknownApp: there is none, or it is being deleted.
        ImportRefused: the file as a whole cannot be taken; nothing was stored.
        TooManyImports: the tenant had as many lately as the settings allow.
    """
    limits = hub.settings
    table = read_csv(
        content, max_rows=limits.annotation_import_rows, max_bytes=limits.annotation_import_bytes
    )
    with hub.transaction() as session:
        app = apps.get(session, app_id)
        imports.check_rate(
            session,
            app.tenant_id,
            per_minute=limits.annotation_imports_per_minute,
            per_hour=limits.annotation_imports_per_hour,
        )
        made = imports.store(session, app_id, name, table)
        job = tasks.batch_import_annotations.options(session=session).defer(
            made.id, app_id, app.tenant_id
        )
        made.job_id = job.id
        bad = sum(row.error is not None for row in table.rows)
        return Imported(made.id, job.id, len(table.rows), bad)


def enable_reply(
    hub: Hub, app_id: int, *, score_threshold: float = 0.9, model: str | None = None
) -> int:
    """Let an app answer by its annotations, or change the threshold or the model; the id of the job.

    Until the job switches over, the app answers as before. `model`: default the setting embedder.

    Raises:
        UnknownApp, UnknownEmbedder: there is none.
        BadThreshold: it is not above 0 and at most 1.
    """
    reply.check_threshold(score_threshold)
    name = embedder(model or hub.settings.embedder).name
    with hub.transaction() as session:
        apps.get(session, app_id)
        enable = tasks.enable_annotation_reply.options(session=session)
        return enable.defer(app_id, score_threshold, name).id


def disable_reply(hub: Hub, app_id: int) -> int:
    """Let an app answer by no annotation from now on; the id of the job that removes the vectors.

    Raises:
        UnknownApp: there is none, or it is being deleted.
    """
    with hub.transaction() as session:
        apps.get(session, app_id)
        reply.switch_off(session, app_id)
        return tasks.disable_annotation_reply.options(session=session).defer(app_id).id
