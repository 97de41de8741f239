"""Who changed what: one row with the change or none, paged, and deleted when its time is over."""

import dataclasses

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue import audit, insight, retention


def note(hub: Hub, **given: object) -> int:
    usual = {"actor": "ann", "source": "cli", "action": "retry", "target": {"ids": [1]}}
    return audit.record(hub, **(usual | given))  # type: ignore[arg-type]  # tests give wrong ones too


def test_a_change_and_its_row_are_there_both_or_not_at_all(hub: Hub) -> None:
    with pytest.raises(RuntimeError, match="no"), hub.transaction() as session:
        note(hub, within=session)
        raise RuntimeError("no")
    assert insight.audit(hub) == []

    with hub.transaction() as session:
        row_id = note(hub, within=session, reason="why not", matched=3, changed=2, outcome="partly")

    [row] = insight.audit(hub)
    assert (row.id, row.actor, row.source, row.action) == (row_id, "ann", "cli", "retry")
    assert (row.target, row.reason, row.matched, row.changed) == ({"ids": [1]}, "why not", 3, 2)
    assert (row.outcome, row.error) == ("partly", None)


def test_the_audit_is_paged_and_asked_by_who_and_what(hub: Hub) -> None:
    ids = [note(hub, actor=who, action=what) for who in "ab" for what in ("pause", "resume")]

    newest = insight.audit(hub, limit=3)
    assert [row.id for row in newest] == ids[:0:-1]
    assert [row.id for row in insight.audit(hub, before_id=newest[-1].id)] == ids[:1]
    assert [row.id for row in insight.audit(hub, actor="a")] == ids[1::-1]
    assert [row.id for row in insight.audit(hub, actor="b", action="pause")] == [ids[2]]


def test_no_character_and_no_date_keeps_a_change_from_being_noted(hub: Hub) -> None:
    odd = "a\0b\ud800\\u0000"

    note(hub, actor=odd, target={odd: [odd, {"n": (1, None, True)}, 1.5]}, reason="x" * 3000)

    [row] = insight.audit(hub)
    assert row.actor == "a\\x00b\\ud800\\u0000"
    assert row.target == {row.actor: [row.actor, {"n": [1, None, True]}, "1.5"]}
    assert row.reason is not None
    assert len(row.reason) == audit.MAX_TEXT


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"actor": " "}, "actor must be somebody or something, got ' '"),
        ({"source": "cron"}, "source must be one of cli, dashboard, api, got 'cron'"),
        ({"outcome": "ok"}, "outcome must be one of done, partly, failed, got 'ok'"),
    ],
)
def test_a_row_says_who_from_where_and_how_it_ended(
    hub: Hub, given: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        note(hub, **given)


def test_rows_are_deleted_after_audit_days(hub: Hub) -> None:
    old, new = note(hub), note(hub)
    days = hub.settings.audit_days + 1
    with hub.transaction() as session:
        session.execute(
            text("UPDATE taskhub.audit SET at = at - make_interval(days => :days) WHERE id = :id"),
            {"days": int(days), "id": old},
        )

    assert retention.prune(hub, dry_run=True).audit == 1
    assert retention.prune(hub).audit == 1
    assert [row.id for row in insight.audit(hub)] == [new]


def test_a_question_that_takes_too_long_is_broken_off(hub: Hub) -> None:
    hub = Hub(settings=dataclasses.replace(hub.settings, question_seconds=0.1))
    with (
        hub.engine.connect() as other,
        pytest.raises(insight.TookTooLong, match="did not answer within"),
    ):
        other.exec_driver_sql("LOCK TABLE taskhub.audit")
        insight.audit(hub)
    hub.close()
