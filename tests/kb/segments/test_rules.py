from typing import Any

import pytest

from taskhub.kb.segments.rules import BadRule, Mode, Parent, ProcessRule


def test_a_rule_comes_back_as_it_was_stored_and_lacks_nothing() -> None:
    rule = ProcessRule(mode=Mode.PARENT_CHILD, parent=Parent.FULL_DOCUMENT, child_tokens=700)

    assert ProcessRule.of(rule.stored()) == rule
    assert ProcessRule.of({}) == ProcessRule()
    assert ProcessRule.of({"mode": "qa"}).mode is Mode.QA


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"tokens": 49}, "tokens must be from 50 to 4000, got 49"),
        ({"tokens": 4001}, "tokens must be from 50 to 4000, got 4001"),
        ({"tokens": 60, "overlap_tokens": 60}, "overlap_tokens must be from 0 to below tokens"),
        ({"separator": ""}, "separator must be 1 to 100 characters, got 0"),
        ({"mode": "parent_child", "child_tokens": 501}, "child_tokens must be from 10 to 500"),
        ({"mode": "semantic"}, "mode must be one of automatic, custom, parent_child, qa, got"),
        ({"tokens": "500"}, "tokens must be int, got '500'"),
        ({"tokens": True}, "tokens must be int, got True"),
        ({"size": 5}, "a rule has mode, tokens, .* got size"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_what_it_may_be(
    stored: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadRule, match=message):
        ProcessRule.of(stored)
