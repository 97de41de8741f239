import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from taskhub.kb.annotations import index, reply, write
from taskhub.kb.annotations import match as matching
from taskhub.kb.annotations.match import match
from taskhub.kb.annotations.models import Annotation, AnnotationHit, AnnotationVector
from taskhub.kb.apps.models import App
from tests.kb.makers import make_app

KEY, LEAVE = "Where is the spare key of the cellar?", "How many days of parental leave are there?"


@pytest.fixture
def app(session: Session) -> App:
    """An app that answers by two annotations."""
    made = make_app(session)
    write.add(session, made.id, KEY, "Behind the clock.")
    write.add(session, made.id, LEAVE, "Ninety.")
    answering(session, made)
    return made


def answering(session: Session, app: App, threshold: float = 0.8) -> None:
    reply.switch_on(session, app.id, threshold, "hash")
    index.index_batch(session, app.id, "hash")


def test_the_nearest_annotation_answers_and_the_hit_is_counted(session: Session, app: App) -> None:
    found = match(session, app.id, "where is the spare key of the cellar")

    assert found is not None
    assert (found.question, found.answer) == (KEY, "Behind the clock.")
    assert 0.8 < found.score < 1
    [hit] = session.scalars(select(AnnotationHit))
    assert (hit.annotation_id, hit.question) == (
        found.annotation_id, "where is the spare key of the cellar",
    )  # fmt: skip
    session.expire_all()
    assert write.get(session, found.annotation_id).hit_count == 1


def test_a_look_that_is_not_recorded_counts_nothing(session: Session, app: App) -> None:
    assert match(session, app.id, KEY, record=False)

    assert session.scalars(select(AnnotationHit)).all() == []


def test_the_very_question_scores_1(session: Session, app: App) -> None:
    found = match(session, app.id, LEAVE)

    assert found is not None
    assert found.score == pytest.approx(1, abs=1e-5)


def test_what_is_not_near_enough_is_no_answer(session: Session, app: App) -> None:
    assert match(session, app.id, "Who feeds the otters on Sundays?") is None
    reply.switch_on(session, app.id, 0.01, "hash")

    assert match(session, app.id, "Who feeds the otters on Sundays?") is not None


def test_every_vector_is_compared_however_many_batches_they_fill(
    session: Session, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "READ_VECTORS", 2)
    for n in range(9):
        write.add(session, app.id, f"Question number {n} about subject {n}", f"{n}")
    index.index_batch(session, app.id, "hash")

    answers = [match(session, app.id, f"Question number {n} about subject {n}") for n in range(9)]

    assert [found.answer for found in answers if found] == [str(n) for n in range(9)]


def test_a_disabled_annotation_answers_nothing_at_once(session: Session, app: App) -> None:
    first = session.scalars(select(Annotation).where(Annotation.question == KEY)).one()
    write.edit(session, first.id, enabled=False)

    assert match(session, app.id, KEY) is None


def test_an_edited_question_answers_neither_old_nor_new_until_it_is_indexed(
    session: Session, app: App
) -> None:
    first = session.scalars(select(Annotation).where(Annotation.question == KEY)).one()
    write.edit(session, first.id, question="Who has the keys of the attic?")
    before = [match(session, app.id, q) for q in (KEY, "Who has the keys of the attic?")]

    index.index_one(session, app.id, "hash", first.id)

    assert before == [None, None]
    assert match(session, app.id, KEY) is None
    assert match(session, app.id, "Who has the keys of the attic?") is not None


def test_other_apps_and_those_being_deleted_do_not_answer(session: Session, app: App) -> None:
    other = make_app(session)
    answering(session, other)
    assert match(session, other.id, KEY) is None
    app.deleted_at = app.created_at
    session.flush()

    assert match(session, app.id, KEY) is None
    assert match(session, 10**9, KEY) is None


def test_vectors_of_another_model_or_width_are_not_compared(session: Session, app: App) -> None:
    first = session.scalars(select(Annotation.id).where(Annotation.question == KEY)).one()
    session.execute(
        update(AnnotationVector)
        .where(AnnotationVector.annotation_id == first)
        .values(vector=b"\0" * 4 * 100)
    )

    assert match(session, app.id, KEY) is None
    assert match(session, app.id, LEAVE) is not None


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("", "a", "question must not be empty"),
        ("q", " \n", "answer must not be empty"),
        ("q" * 2001, "a", "question must be at most 2000 characters, got 2001"),
        ("q", "a" * 10_001, "answer must be at most 10000 characters, got 10001"),
        ("q\0", "a", "question must not contain a NUL"),
    ],
)
def test_what_cannot_be_an_annotation_is_refused(
    session: Session, app: App, question: str, answer: str, reason: str
) -> None:
    with pytest.raises(write.BadAnnotation, match=reason):
        write.add(session, app.id, question, answer)
    first = session.scalars(select(Annotation.id)).first()
    assert first is not None
    with pytest.raises(write.BadAnnotation, match=reason):
        write.edit(session, first, question=question, answer=answer)


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_no_score_compares_with_is_refused(
    session: Session, app: App, threshold: float
) -> None:
    with pytest.raises(reply.BadThreshold, match="above 0 and at most 1"):
        reply.switch_on(session, app.id, threshold, "hash")
