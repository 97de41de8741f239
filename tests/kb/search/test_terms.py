import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.search.terms import MOST_TERMS, Probe, Term, probes, terms
from tests.kb.makers import make_indexed


def test_words_are_stemmed_and_stop_words_left_out(session: Session) -> None:
    found = {term.lexeme for term in terms(session, "What are the 停电 rules of the Otters?")}

    assert found == {"停电", "rule", "otter"}


def test_the_statistics_tell_common_words_from_rare_ones(
    session: Session, dataset: Dataset
) -> None:
    make_indexed(session, dataset, *(f"fish number {n}" for n in range(60)), "one fish otter")
    session.execute(text("ANALYZE taskhub_kb.segments"))

    found = terms(session, "fish otter")

    assert [term.lexeme for term in found] == ["otter", "fish"]
    assert found[0].share < 0.1 < found[1].share


def test_of_a_long_question_the_rarest_words_are_taken(session: Session) -> None:
    assert len(terms(session, " ".join(f"word{n}" for n in range(500)))) == MOST_TERMS


@pytest.mark.parametrize(
    ("lexeme", "query"), [("otter", "'otter'"), ("it's", "'it''s'"), ("a\\b", "'a\\\\b'")]
)
def test_a_word_is_never_an_operator(session: Session, lexeme: str, query: str) -> None:
    probe = Probe((lexeme,))

    assert probe.query == query
    assert session.scalar(
        text("SELECT array_to_tsvector(ARRAY[:lexeme]) @@ CAST(:query AS tsquery)"),
        {"lexeme": lexeme, "query": probe.query},
    )


RARE = Term("rare", 0.0, 100_000)
SOME = Term("some", 0.01, 100_000)
MUCH = Term("much", 0.2, 100_000)
MORE = Term("more", 0.5, 100_000)
MOST = Term("most", 0.9, 100_000)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([RARE, SOME], [("rare",), ("some",)]),
        ([RARE, MOST], [("rare",)]),
        ([MOST], [("most",)]),
        ([RARE, MUCH, MORE, MOST], [("rare",), ("much", "more", "most")]),
        ([MUCH, MORE], [("much", "more")]),
    ],
)
def test_rare_words_are_looked_up_alone_and_common_ones_together(
    asked: list[Term], expected: list[tuple[str, ...]]
) -> None:
    assert [probe.lexemes for probe in probes(asked, everything=False)] == expected


def test_so_many_common_words_are_joined_as_still_leave_some() -> None:
    common = [Term(str(n), 0.1, 100_000) for n in range(6)]

    (probe,) = probes(common, everything=False)

    assert probe.lexemes == ("0", "1")


def test_in_few_segments_every_word_is_looked_up() -> None:
    found = probes([RARE, MUCH, MOST], everything=True)

    assert [probe.lexemes for probe in found] == [("rare",), ("much",), ("most",)]
