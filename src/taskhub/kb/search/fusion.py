"""One order out of several: reciprocal rank fusion, weighted by how much of a question was met."""

from collections.abc import Sequence
from dataclasses import dataclass

# How little the first ranks outweigh the following ones; and what the words' list counts for beside
# a vector list. Tuned on the half of examples/questions.json that is not kept aside, where 10 to 20
# and 1 to 3 make less than 0.02 MRR of difference.
FLATNESS = 20
WORDS_WEIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Match:
    """A segment in one ranking.

    Attributes:
        score: from 0 to 1, for this ranking alone.
        share: how much of the question it answers as far as its ranking can tell, from 0 to 1. A
            question whose words are nearly all missing has a best match by words all the same, and
            its rank says nothing.
    """

    segment_id: int
    score: float
    share: float = 1.0


def fused(lists: Sequence[tuple[float, Sequence[Match]]]) -> list[Match]:
    """One ranking out of pairs of a weight and a ranking; first everywhere, and whole, is a score of 1."""
    best = sum(weight for weight, _ in lists) / (FLATNESS + 1)
    scores: dict[int, float] = {}
    for weight, ranked in lists:
        for rank, match in enumerate(ranked, start=1):
            gain = weight * match.share**2 / (FLATNESS + rank) / best
            scores[match.segment_id] = scores.get(match.segment_id, 0.0) + gain
    order = sorted(scores, key=lambda segment_id: (-scores[segment_id], segment_id))
    return [Match(segment_id, min(scores[segment_id], 1.0)) for segment_id in order]
