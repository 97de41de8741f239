"""Passages that hold the question's words, the rare ones above all."""

from collections.abc import Sequence
from functools import cache
from math import log
from typing import Any

from sqlalchemy import CTE, Float, Integer, Row, Select, Text, bindparam, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import Document
from taskhub.kb.search.fusion import Match
from taskhub.kb.search.scope import SMALL, Scope, Shape, documents, segments
from taskhub.kb.search.terms import probes, terms
from taskhub.kb.segments.models import Segment

# Of BM25: how soon repeating a word stops to help, and how much long passages are held back.
SATURATION = 1.2
LENGTH = 0.5
# So many, those with the most and rarest words, are compared word by word.
RANKED = 50
# No look into the index brings more, also where the statistics are wrong or not there yet.
MOST_POSTINGS = SMALL


def by_text(
    session: Session, question: str, scope: Scope, *, size: int | None, depth: int
) -> list[Match]:
    """Up to `depth` findable segments that hold words of the question, the best first.

    `size` is the scope's, None if it is large. There, rare words find the candidates and common
    ones help to rank them: the cost does not grow with the segments that hold a common word.
    """
    asked = terms(session, question)
    if not asked:
        return []
    looked_up = probes(asked, everything=size is not None and size <= SMALL)
    given = {
        "queries": [probe.query for probe in looked_up],
        "lexemes": [term.lexeme for term in asked],
        "most": max(RANKED, depth),
    }
    rows = session.execute(_best(scope.shape), scope.values | given).all()
    if not rows:
        return []
    found = {
        probe.lexemes[0]: rows[0].held.get(str(number), 0)
        for number, probe in enumerate(looked_up, start=1)
        if len(probe.lexemes) == 1
    }
    total = size or max(asked[0].rows, *found.values(), 0)
    weights = {
        term.lexeme: _weight(found.get(term.lexeme, term.share * total), total) for term in asked
    }
    return _ranked(rows, weights)[:depth]


@cache
def _best(shape: Shape) -> Select[Any]:
    """Segments with their counts of the asked words; and how many each probe found, in every row."""
    posting = _postings(shape)
    held = cast(func.count(), Float)
    counted = (
        select(posting.c.number, held.label("held"), func.ln(1 + 1_000_000 / held).label("rarity"))
        .group_by(posting.c.number)
        .cte("counted")
    )
    summed = (
        select(posting.c.id, func.min(posting.c.document_id).label("document_id"))
        .join(counted, counted.c.number == posting.c.number)
        .group_by(posting.c.id)
        .order_by(func.sum(counted.c.rarity).desc(), posting.c.id)
        .subquery("summed")
    )
    # With a limit of its own the document is looked up segment by segment, until `most` are found.
    shown = (
        select(Document.id)
        .where(Document.id == summed.c.document_id, *documents(shape))
        .limit(1)
        .lateral("shown")
    )
    most = bindparam("most", type_=Integer)
    best = select(summed.c.id).join(shown, true()).limit(most).cte("best")
    held_by_number = select(func.json_object_agg(counted.c.number, counted.c.held))
    return (
        select(
            best.c.id,
            Segment.tokens,
            _counts().label("counts"),
            held_by_number.scalar_subquery().label("held"),
        )
        .select_from(best)
        .join(Segment, Segment.id == best.c.id)
    )


def _postings(shape: Shape) -> CTE:
    """What each probe, by its number, finds."""
    queries = cast(bindparam("queries", type_=ARRAY(Text)), ARRAY(TSQUERY))
    probe = (
        func.unnest(queries)
        .table_valued("query", with_ordinality="number", name="probe")
        .render_derived()
    )
    matching = (
        select(Segment.id, Segment.document_id)
        .where(Segment.words.bool_op("@@")(probe.c.query), *segments(shape))
        .limit(MOST_POSTINGS)
        .lateral("matching")
    )
    return (
        select(probe.c.number, matching.c.id, matching.c.document_id)
        .select_from(probe)
        .join(matching, true())
        .cte("posting")
    )


def _counts() -> Any:
    word = func.unnest(Segment.words).table_valued("lexeme", "positions", "weights", name="word")
    wanted = bindparam("lexemes", type_=ARRAY(Text))
    return (
        select(func.json_object_agg(word.c.lexeme, func.cardinality(word.c.positions)))
        .where(word.c.lexeme == func.any(wanted))
        .scalar_subquery()
    )


def _weight(held: float, total: float) -> float:
    return log(1 + (max(total - held, 0) + 0.5) / (held + 0.5))


def _ranked(rows: Sequence[Row[Any]], weights: dict[str, float]) -> list[Match]:
    """BM25 and the share of the question's words, weighted by rarity, that a segment holds."""
    mean_tokens = sum(row.tokens for row in rows) / len(rows) or 1
    whole = sum(weights.values())
    found = []
    for row in rows:
        slowness = SATURATION * (1 - LENGTH + LENGTH * row.tokens / mean_tokens)
        score = sum(weights[word] * n / (n + slowness) for word, n in row.counts.items())
        share = sum(weights[word] for word in row.counts)
        found.append(Match(row.id, score / whole, share / whole))
    return sorted(found, key=lambda match: (-match.score, match.segment_id))
