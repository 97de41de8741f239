"""The words of a question, how common they are, and which of them are worth looking up."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.db import KB_SCHEMA
from taskhub.kb.segments.words import CONFIGURATION, words

# Of a longer question, the rarest words.
MOST_TERMS = 32
# Segments that common words may bring together; each costs some 2 us.
POSTINGS = 2_000
# Common words are looked up together, as many as still leave about so many segments.
ENOUGH = 200

# The planner's own statistics tell the words that are in the most segments, for the whole table.
_COMMON = text("""
    WITH known AS MATERIALIZED (
        SELECT most_common_elems::text::text[] AS lexemes, most_common_elem_freqs AS shares
        FROM pg_stats
        WHERE schemaname = :schema AND tablename = 'segments' AND attname = 'words'
    )
    SELECT asked.lexeme,
        coalesce((SELECT shares[array_position(lexemes, asked.lexeme)] FROM known), 0) AS share,
        (
            SELECT greatest(reltuples, 0)::bigint FROM pg_class
            WHERE oid = to_regclass(quote_ident(:schema) || '.segments')
        ) AS rows
    FROM unnest(tsvector_to_array(to_tsvector(CAST(:configuration AS regconfig), :words)))
        AS asked (lexeme)
""")


@dataclass(frozen=True, slots=True)
class Term:
    """A word as the index has it.

    Attributes:
        share: of all segments, the part that holds it; 0 if it is too rare for the statistics.
        rows: about how many segments there are, 0 if nobody counted yet.
    """

    lexeme: str
    share: float
    rows: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One look into the index, for segments that hold all of its words."""

    lexemes: tuple[str, ...]

    @property
    def query(self) -> str:
        """As a tsquery is written; quoted, a word cannot be an operator."""
        return " & ".join(
            "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'" for lexeme in self.lexemes
        )


def terms(session: Session, question: str) -> list[Term]:
    """The question's words without stop words, at most MOST_TERMS, the rarest first."""
    translated = session.connection().get_execution_options().get("schema_translate_map") or {}
    asked = {
        "schema": translated.get(KB_SCHEMA, KB_SCHEMA),
        "configuration": CONFIGURATION,
        "words": " ".join(words(question)),
    }
    found = [Term(row.lexeme, row.share, row.rows) for row in session.execute(_COMMON, asked)]
    return sorted(found, key=lambda term: (term.share, term.lexeme))[:MOST_TERMS]


def probes(asked: Sequence[Term], *, everything: bool) -> list[Probe]:
    """What to look up of terms that come the rarest first; `everything` if few segments are asked.

    A rare word is looked up alone. Words that are in a large part of the segments would bring all
    of these: they are looked up together, where they narrow each other down.
    """
    alone: list[Probe] = []
    together: list[Term] = []
    postings = 0.0
    for term in asked:
        postings += term.share * term.rows
        if everything or postings <= POSTINGS:
            alone.append(Probe((term.lexeme,)))
        else:
            together.append(term)
    # One common word beside rare ones would bring thousands and tell nothing.
    if together and (len(together) > 1 or not alone):
        alone.append(_narrowed(together, at_least=2 if alone else 1))
    return alone


def _narrowed(common: Sequence[Term], at_least: int) -> Probe:
    most = at_least
    while most < len(common) and _expected(common[: most + 1]) >= ENOUGH:
        most += 1
    return Probe(tuple(term.lexeme for term in common[:most]))


def _expected(common: Sequence[Term]) -> float:
    return common[0].rows * prod(term.share for term in common)
