"""The annotation family on a real worker; what broke in the system before has a test here."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, text

from taskhub import Hub, Status
from taskhub.kb.annotations import imports, reply, write
from taskhub.kb.annotations import match as matching
from taskhub.kb.annotations.match import Match
from taskhub.kb.annotations.models import Annotation, AnnotationImport, AnnotationVector
from taskhub.kb.annotations.read_csv import ImportRefused
from taskhub.kb.cleaning.hide import hide_app
from taskhub.kb.cleaning.orphans import orphans
from taskhub.kb.tasks import annotations as tasks
from taskhub.kb.vectors import embedders
from taskhub.kb.ways_in import annotations as ways_in
from taskhub.queue import Job
from tests.kb.makers import make_app
from tests.waiting import until

KEY = "Where is the spare key of the cellar?"


@pytest.fixture
def app_id(library: Hub) -> int:
    with library.transaction() as session:
        return make_app(session).id


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def job(hub: Hub, job_id: int | None) -> Job[Any]:
    assert job_id is not None
    return Job(job_id, "any", hub)


def answer(hub: Hub, app_id: int, question: str) -> Match | None:
    with hub.transaction() as session:
        return matching.match(session, app_id, question)


def on(hub: Hub, app_id: int) -> None:
    job_id = ways_in.enable_reply(hub, app_id, score_threshold=0.9, model="hash")
    work(hub)
    assert job(hub, job_id).status() is Status.SUCCEEDED


def models(hub: Hub) -> dict[str, int]:
    with hub.transaction() as session:
        rows = session.execute(
            select(AnnotationVector.model, func.count()).group_by(AnnotationVector.model)
        )
        return {row.model: row[1] for row in rows}


def csv(rows: int, *bad: str) -> bytes:
    lines = [f"Question number {n}?,Answer {n}" for n in range(rows)]
    return "\n".join(["question,answer", *lines, *bad]).encode()


# Imports. There: rows inside the message, status in Redis for ten minutes, "waiting" for ever.


def test_an_import_takes_the_good_rows_and_names_the_bad_ones(library: Hub, app_id: int) -> None:
    on(library, app_id)
    taken = ways_in.import_annotations(library, app_id, "faq.csv", csv(3, "alone", ",empty"))

    work(library)

    assert job(library, taken.job_id).result(5) == {
        "rows": 5, "imported": 3, "bad": 2, "indexed": 3, "left_out": 0,
    }  # fmt: skip
    with library.transaction() as session:
        report = imports.report(session, taken.import_id)
    assert (report.rows, report.imported, report.waiting, report.finished) == (5, 3, 0, True)
    assert [(row.line, row.reason) for row in report.bad] == [
        (5, "row must have a question and an answer, got 1 column"),
        (6, "question must not be empty"),
    ]
    found = answer(library, app_id, "Question number 2?")
    assert found is not None
    assert found.answer == "Answer 2"


def test_ten_thousand_rows_make_a_small_job(library: Hub, app_id: int) -> None:
    taken = ways_in.import_annotations(library, app_id, "faq.csv", csv(10_000))

    work(library)

    from taskhub.queue import insight

    shown = insight.job(library, taken.job_id)
    assert len(str(shown.args)) < 200
    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == 10_000


def test_a_row_that_the_database_refuses_drops_no_other(library: Hub, app_id: int) -> None:
    with library.transaction() as session:
        session.execute(
            text(
                "ALTER TABLE taskhub_kb.annotations ADD CONSTRAINT no_four "
                "CHECK (question <> 'Question number 4?')"
            )
        )
    taken = ways_in.import_annotations(library, app_id, "faq.csv", csv(9))

    work(library)

    with library.transaction() as session:
        report = imports.report(session, taken.import_id)
    assert (report.imported, report.finished) == (8, True)
    [bad] = report.bad
    assert bad.line == 6
    assert "no_four" in bad.reason


def test_an_import_that_stopped_half_way_goes_on_and_takes_no_row_twice(
    library: Hub, app_id: int
) -> None:
    taken = ways_in.import_annotations(library, app_id, "faq.csv", csv(10))
    with library.transaction() as session:
        assert imports.import_batch(session, taken.import_id, 4) == 4

    work(library)
    again = tasks.batch_import_annotations.options(autocommit=True).defer(
        taken.import_id, app_id, 1
    )
    work(library)

    assert again.status() is Status.SUCCEEDED
    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == 10


def test_an_import_into_a_deleted_app_fails_by_name_and_holds_no_slot(
    library: Hub, app_id: int
) -> None:
    with library.transaction() as session:
        tenant_id = session.scalar(text(f"SELECT tenant_id FROM taskhub_kb.apps WHERE id={app_id}"))
        other = make_app(session)
        other.tenant_id = tenant_id or 0
        other_id = other.id
    doomed = [ways_in.import_annotations(library, app_id, "a.csv", csv(2)) for _ in range(3)]
    with library.transaction() as session:
        hide_app(session, app_id)
    after = ways_in.import_annotations(library, other_id, "b.csv", csv(2))

    work(library)

    for taken in doomed:
        failed = job(library, taken.job_id)
        assert failed.status() is Status.FAILED
        assert f"app {app_id} does not exist" in (failed.attempts()[0].error_message or "")
    assert job(library, after.job_id).status() is Status.SUCCEEDED


def test_a_refused_file_stores_nothing_and_defers_nothing(library: Hub, app_id: int) -> None:
    with pytest.raises(ImportRefused, match="at most 10000 rows"):
        ways_in.import_annotations(library, app_id, "a.csv", csv(10_001))

    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(AnnotationImport)) == 0
    assert library.read_one("read_status", job_id=1) is None


# One annotation. There: errors were swallowed, and rows and index drifted apart in silence.


def test_an_annotation_that_is_added_edited_and_deleted_answers_accordingly(
    library: Hub, app_id: int
) -> None:
    on(library, app_id)
    added = ways_in.add_annotation(library, app_id, KEY, "Behind the clock.")
    work(library)
    first = answer(library, app_id, KEY)
    ways_in.edit_annotation(library, added.annotation_id, question="Who feeds the otters?")
    at_once = answer(library, app_id, KEY)
    work(library)
    second = answer(library, app_id, "Who feeds the otters?")
    deleted = ways_in.delete_annotations(library, app_id, [added.annotation_id, 10**9])
    third = answer(library, app_id, "Who feeds the otters?")
    work(library)

    assert first is not None
    assert at_once is None
    assert second is not None
    assert third is None
    assert (deleted.annotation_ids, deleted.missing) == ([added.annotation_id], [10**9])
    [job_id] = deleted.job_ids
    assert job(library, job_id).result(5) == {
        "annotation_hits": 2, "annotation_vectors": 1, "annotations": 1,
    }  # fmt: skip
    with library.transaction() as session:
        assert orphans(session) == {}


def test_a_change_of_the_answer_alone_needs_no_job(library: Hub, app_id: int) -> None:
    on(library, app_id)
    added = ways_in.add_annotation(library, app_id, KEY, "Behind the clock.")
    work(library)

    edited = ways_in.edit_annotation(library, added.annotation_id, answer="Under the mat.")

    assert edited.job_id is None
    found = answer(library, app_id, KEY)
    assert found is not None
    assert found.answer == "Under the mat."


def test_a_disabled_annotation_loses_its_vector_and_gets_it_back(library: Hub, app_id: int) -> None:
    on(library, app_id)
    added = ways_in.add_annotation(library, app_id, KEY, "Behind the clock.")
    work(library)
    ways_in.edit_annotation(library, added.annotation_id, enabled=False)
    work(library)
    without = models(library)

    ways_in.edit_annotation(library, added.annotation_id, enabled=True)
    work(library)

    assert without == {}
    assert models(library) == {"hash": 1}
    assert answer(library, app_id, KEY) is not None


class Broken(embedders.HashEmbedder):
    """Gives no vector for a text with this word."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """As the hash, with NaN for the bad ones."""
        return [
            [float("nan")] * self.width
            if "broken" in text_
            else super(Broken, self).embed([text_])[0]
            for text_ in texts
        ]


@pytest.fixture
def swap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Any], None]]:
    """Puts a model under a name."""

    def put(name: str, model: Any) -> None:
        monkeypatch.setitem(embedders._KNOWN, name, lambda: model)
        embedders.embedder.cache_clear()

    yield put
    embedders.embedder.cache_clear()


def test_a_question_without_a_vector_fails_in_the_open_and_keeps_no_other(
    library: Hub, app_id: int, swap: Callable[[str, Any], None]
) -> None:
    swap("hash", Broken())
    on(library, app_id)
    alone = ways_in.add_annotation(library, app_id, "a broken question", "none")
    work(library)
    taken = ways_in.import_annotations(library, app_id, "a.csv", csv(3, "another broken one,none"))
    work(library)

    failed = job(library, alone.job_id)
    assert failed.status() is Status.FAILED
    assert "NaN" in (failed.attempts()[0].error_message or "")
    with library.transaction() as session:
        assert "NaN" in (write.get(session, alone.annotation_id).index_error or "")
    # The one from before is tried again, and left out again.
    result = job(library, taken.job_id).result(5)
    assert (result["imported"], result["indexed"], result["left_out"]) == (4, 3, 2)


# On and off. There: a guard that was never set, "completed" before the commit, and an index that
# was empty while another model's was built.


def test_switching_off_counts_at_once_and_leaves_no_vector(library: Hub, app_id: int) -> None:
    on(library, app_id)
    ways_in.import_annotations(library, app_id, "a.csv", csv(3))
    work(library)
    assert answer(library, app_id, "Question number 1?") is not None

    ways_in.disable_reply(library, app_id)
    at_once = answer(library, app_id, "Question number 1?")
    work(library)

    assert at_once is None
    assert models(library) == {}
    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == 3


def test_switching_off_an_app_without_annotations_is_no_error(library: Hub, app_id: int) -> None:
    job_id = ways_in.disable_reply(library, app_id)

    work(library)

    assert job(library, job_id).result(5) == {"removed": 0}


class Held(embedders.HashEmbedder):
    """Another model, whose vectors come only after somebody opens the gate."""

    name = "other"

    def __init__(self) -> None:
        self.entered, self.gate = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """As the hash, later."""
        self.entered.set()
        assert self.gate.wait(60)
        return super().embed(texts)


def test_a_change_of_the_model_is_never_without_an_answer_and_locks_out_others(
    library: Hub, app_id: int, swap: Callable[[str, Any], None]
) -> None:
    other = Held()
    swap("other", other)
    on(library, app_id)
    ways_in.import_annotations(library, app_id, "a.csv", csv(3))
    work(library)

    switching = ways_in.enable_reply(library, app_id, score_threshold=0.9, model="other")
    worker = threading.Thread(target=lambda: library.run_worker(wait=False, concurrency=4))
    worker.start()
    assert other.entered.wait(30)
    meanwhile = answer(library, app_id, "Question number 1?")
    late = ways_in.add_annotation(library, app_id, KEY, "Behind the clock.")
    off = ways_in.enable_reply(library, app_id, score_threshold=0.8, model="other")
    statuses = {job(library, i).status() for i in (late.job_id, off)}
    other.gate.set()
    worker.join(60)
    until(lambda: job(library, off).status() is Status.SUCCEEDED, "the last change")

    assert meanwhile is not None
    assert statuses == {Status.TODO}
    assert job(library, switching).status() is Status.SUCCEEDED
    assert models(library) == {"other": 4}
    assert answer(library, app_id, "Question number 1?") is not None
    assert answer(library, app_id, KEY) is not None
    with library.transaction() as session:
        setting = reply.setting(session, app_id)
        assert setting is not None
        assert (setting.embedding_model, setting.score_threshold) == ("other", 0.8)


def test_off_and_on_end_as_they_were_asked_for_last(library: Hub, app_id: int) -> None:
    ways_in.import_annotations(library, app_id, "a.csv", csv(2))
    for wanted in ("on", "off", "on", "off"):
        if wanted == "on":
            ways_in.enable_reply(library, app_id, score_threshold=0.9, model="hash")
        else:
            ways_in.disable_reply(library, app_id)

    work(library)

    assert answer(library, app_id, "Question number 1?") is None
    assert models(library) == {}
    on(library, app_id)
    assert answer(library, app_id, "Question number 1?") is not None


def test_an_app_that_does_not_exist_is_refused_at_the_door(library: Hub) -> None:
    from taskhub.kb.apps.create import UnknownApp
    from taskhub.kb.vectors.embedders import UnknownEmbedder

    with pytest.raises(UnknownApp, match="app 99 does not exist"):
        ways_in.enable_reply(library, 99, model="hash")
    with pytest.raises(UnknownEmbedder, match="must be one of"):
        ways_in.enable_reply(library, 99, model="nonsense")
