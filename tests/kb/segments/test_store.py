import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents.add import add
from taskhub.kb.segments.models import ChildSegment, Segment
from taskhub.kb.segments.rules import BadRule, ProcessRule
from taskhub.kb.segments.split import Piece
from taskhub.kb.segments.store import discard, store
from taskhub.kb.segments.words import CONFIGURATION


def test_pieces_become_rows_with_answers_and_children(session: Session, dataset: Dataset) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    children = (Piece("otters", 2), Piece("swim 水獺", 4))

    store(session, document, [Piece("a question?", 3, answer="so")], 0)
    store(session, document, [Piece("otters swim 水獺", 6, children=children), Piece(":", 1)], 1)

    stored = session.scalars(select(Segment).order_by(Segment.position)).all()
    assert [(s.position, s.text, s.tokens, s.answer) for s in stored] == [
        (0, "a question?", 3, "so"),
        (1, "otters swim 水獺", 6, None),
        (2, ":", 1, None),
    ]
    assert (stored[1].keywords[:1], stored[2].keywords) == (["otters"], [])
    assert session.scalars(
        select(Segment.id).where(
            Segment.words.op("@@")(func.to_tsquery(CONFIGURATION, "otters & swim"))
        )
    ).all() == [stored[1].id]
    found = session.scalars(select(ChildSegment).order_by(ChildSegment.position)).all()
    assert [(c.segment_id, c.position, c.text, c.tokens) for c in found] == [
        (stored[1].id, 0, "otters", 2),
        (stored[1].id, 1, "swim 水獺", 4),
    ]
    session.refresh(document)
    assert (document.segments_total, document.tokens) == (3, 10)

    assert discard(session, document.id, 10) == 3
    assert session.scalar(select(func.count()).select_from(ChildSegment)) == 0


def test_a_batch_costs_a_few_statements_however_long_it_is(
    session: Session, dataset: Dataset
) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    sent: list[str] = []
    event.listen(session.connection(), "before_cursor_execute", lambda *a: sent.append(a[2]))

    store(session, document, [Piece(f"text {n}", 2) for n in range(300)], 0)

    assert len(sent) == 2
    assert session.scalar(select(func.count()).select_from(Segment)) == 300


def test_a_document_may_have_a_rule_of_its_own(session: Session, dataset: Dataset) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    assert rule_of(dataset, document) == ProcessRule()

    document.process_rule = {"mode": "custom", "tokens": 80, "overlap_tokens": 0}
    session.flush()
    session.refresh(document)
    assert rule_of(dataset, document).tokens == 80

    document.process_rule = {"mode": "none"}
    with pytest.raises(BadRule, match="mode must be one of"):
        rule_of(dataset, document)
