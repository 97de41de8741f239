"""Search at 100,000 passages: how fast by vector, words and both, and how much of the nearest it finds."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
from _pairs import Quartiles, number
from _passages import MODEL, WIDTH, Question, World, fill, questions
from _report import Report, options, progress
from _server import server
from _side_taskhub import prepare
from sqlalchemy import any_, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger

from taskhub import db
from taskhub.kb.documents.models import Document
from taskhub.kb.search import Mode, search
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.models import INDEXED, Embedding
from taskhub.settings import Settings

METHOD = """\
Passages of 80 to 320 made-up words, as frequent as Zipf's law has it, half of them of one of 500 topics;
vectors of width 512 that scatter around their topic and their document; 20 passages a document; a dataset
for each filter and one for the rest; loaded by COPY, swept and analysed. A question is 3 to 12 words of a
passage, common ones as well, with a vector near the passage's; the vectors stand in the cache, so that
no model is measured. All goes through the Python call with a limit of 10, mode after mode for each
question; a pair is one round of all questions, a figure the median of the rounds with its quartiles, and
the ratio is between the 95th percentiles of one round. Recall is the share of the 10 nearest by exact
search that the vector search gives, over 100 of the questions."""

LIMIT = 10


def main() -> None:
    """Fill a database, ask."""
    asked = options(__doc__ or "", jobs=100_000, pairs=7, questions=200)
    report = Report("search", f"{asked.jobs:,} passages", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        with postgres.database("kb", prepare) as url:
            datasets = fill(url, World(asked.jobs))
            some = questions(url, asked.questions)
            with opened(url) as session:
                report.versions["pgvector"] = session.scalars(
                    text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
                ).one()
                remember(session, some)
                everything = list(datasets.values())
                speed(report, session, some, everything, asked.pairs)
                for filtered in filters(datasets):
                    recall(report, session, some[:100], filtered)
    report.finish(asked)


@contextmanager
def opened(url: str) -> Iterator[Session]:
    """A session as the product makes it."""
    engine = db.engine(db.address(url), Settings())
    with Session(engine) as session:
        yield session
    engine.dispose()


def remember(session: Session, some: Sequence[Question]) -> None:
    """Put the questions' vectors where the search looks first."""
    rows = [
        {
            "model": MODEL,
            "sha256": hashlib.sha256(question.text.encode()).hexdigest(),
            "vector": question.vector.tolist(),
        }
        for question in {question.text: question for question in some}.values()
    ]
    session.execute(insert(Embedding), rows)
    session.commit()


def speed(
    report: Report, session: Session, some: Sequence[Question], ids: list[int], rounds: int
) -> None:
    """Rows for each mode, and the bar."""
    took: list[dict[Mode, list[float]]] = []
    for turn in range(-1, rounds):
        took.append({mode: [] for mode in Mode})
        for question in some:
            for mode in Mode:
                begun = time.perf_counter()
                search(session, question.text, ids, limit=LIMIT, mode=mode)
                took[-1][mode].append(1000 * (time.perf_counter() - begun))
                session.rollback()
        progress(f"round {turn + 1} of {rounds}" if turn >= 0 else "warm")
    del took[0]
    for mode in Mode:
        for percent in (50, 95):
            found = Quartiles.of([float(numpy.percentile(one[mode], percent)) for one in took])
            report.note(f"{mode}, p{percent}: ms", str(found))
    ratio = Quartiles.of(
        [
            float(numpy.percentile(one[Mode.HYBRID], 95) / numpy.percentile(one[Mode.VECTOR], 95))
            for one in took
        ]
    )
    report.at_most("hybrid / vector, p95", str(ratio), ratio.upper, 3.0)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search is narrowed to."""

    name: str
    dataset_ids: list[int]
    metadata: dict[str, Any] | None = None


def filters(datasets: dict[str, int]) -> list[Filter]:
    """None, each dataset, and a metadata filter that leaves one document of a hundred."""
    everything = list(datasets.values())
    return [
        Filter("no filter", everything),
        *(Filter(f"dataset of {name}", [dataset_id]) for name, dataset_id in datasets.items()),
        Filter("1 % by metadata", everything, {"year": 2007}),
    ]


def recall(report: Report, session: Session, some: Sequence[Question], filtered: Filter) -> None:
    """A row with the bar: what is found of the nearest."""
    right = wanted = 0
    took = []
    for question in some:
        nearest = exact(session, question, filtered)
        begun = time.perf_counter()
        hits = search(
            session,
            question.text,
            filtered.dataset_ids,
            limit=LIMIT,
            mode=Mode.VECTOR,
            metadata=filtered.metadata,
        )
        took.append(1000 * (time.perf_counter() - begun))
        right += len(nearest & {hit.segment_id for hit in hits})
        wanted += len(nearest)
        session.rollback()
    share = right / wanted
    shown = f"{share:.3f}, p95 {number(float(numpy.percentile(took, 95)))} ms"
    progress(f"recall, {filtered.name}: {shown}")
    report.holds(f"recall@{LIMIT}, {filtered.name}", shown, ">= 0.95", met=share >= 0.95)


def exact(session: Session, question: Question, filtered: Filter) -> set[int]:
    """The nearest of all vectors in scope: the sum is no order that an index could give."""
    table = INDEXED[WIDTH]
    distance = table.c.vector.cosine_distance(question.vector.tolist()) + 0
    query = select(table.c.segment_id).where(
        table.c.dataset_id == any_(literal(filtered.dataset_ids, ARRAY(BigInteger)))
    )
    if filtered.metadata is not None:
        query = (
            query.join(Segment, Segment.id == table.c.segment_id)
            .join(Document, Document.id == Segment.document_id)
            .where(Document.details.contains(filtered.metadata))
        )
    return set(session.scalars(query.order_by(distance).limit(LIMIT)))


if __name__ == "__main__":
    main()
