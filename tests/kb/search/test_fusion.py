import pytest

from taskhub.kb.search.fusion import Match, fused


def matches(*segment_ids: int, share: float = 1.0) -> list[Match]:
    return [Match(segment_id, 0.5, share) for segment_id in segment_ids]


def test_what_both_lists_have_comes_before_what_one_has() -> None:
    found = fused([(1.0, matches(1, 2, 3)), (1.0, matches(4, 3, 5))])

    assert found[0].segment_id == 3
    assert {match.segment_id for match in found} == {1, 2, 3, 4, 5}


def test_the_first_of_every_list_has_a_score_of_1_and_all_others_less() -> None:
    found = fused([(1.0, matches(7, 8)), (1.5, matches(7, 9))])

    assert found[0].segment_id == 7
    assert found[0].score == pytest.approx(1.0)
    assert all(0 < match.score < 1 for match in found[1:])


def test_a_rank_counts_by_the_share_of_the_question_that_is_met() -> None:
    vectors, words = matches(1, 2), matches(2, 1, share=0.1)

    assert [match.segment_id for match in fused([(1.0, vectors), (1.5, words)])] == [1, 2]
    assert [match.segment_id for match in fused([(1.0, vectors), (1.5, matches(2, 1))])] == [2, 1]


def test_equal_scores_are_in_one_order_always() -> None:
    assert [match.segment_id for match in fused([(1.0, matches(2)), (1.0, matches(1))])] == [1, 2]
