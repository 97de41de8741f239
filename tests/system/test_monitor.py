"""The monitor opens an alert when something is wrong, tells of it once, and says when it is over."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub import Hub
from taskhub.system import alerts, rules
from taskhub.system.findings import Finding, Reader
from taskhub.system.models import Alert
from tests.system.conftest import Watched, run, to_webhook
from tests.system.receiver import Receiver

QUIET = timedelta(hours=1)


def found(hub: Hub) -> dict[str, Finding]:
    return rules.look(Reader(hub))[0]


def sql(hub: Hub, statement: str) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text(statement))


def lonely(name: str = "mail") -> dict[str, Finding]:
    return {f"queue_without_worker:{name}": Finding(about=name, text="nobody works", remedy="work")}


def test_a_queue_without_a_worker_becomes_one_notice_and_its_end_another(
    watched: Watched, receiver: Receiver
) -> None:
    hub = watched(alert_lonely_seconds=0, **to_webhook(receiver))
    hub.tasks["work"].defer()

    run(hub, "queue_monitor")
    run(hub, "queue_monitor")
    first = [json.loads(body) for _, body in receiver.received]
    hub.run_worker(wait=False)
    run(hub, "queue_monitor")

    assert [told["kind"] for told in first] == ["alerts"]
    [line] = first[0]["lines"]
    assert line == (
        "critical: queue 'shop' holds 1 ready jobs and has no live worker; taskhub worker --queue shop"
    )
    last = json.loads(receiver.received[-1][1])
    assert len(receiver.received) == 2
    assert last["subject"].startswith("[taskhub] resolved: queue 'shop'")
    with hub.transaction() as session:
        [alert] = alerts.listed(session, resolved=True)
        assert alert.resolved_at is not None


def test_an_alert_that_comes_and_goes_is_told_once_in_its_quiet_time(session: Session) -> None:
    told = []
    for now in (lonely(), {}, lonely(), {}, lonely()):
        changes = alerts.apply(session, now, quiet=QUIET)
        told.append((len(changes.told), len(changes.over)))

    assert told == [(1, 0), (0, 1), (0, 0), (0, 0), (0, 0)]
    session.execute(text("UPDATE taskhub_kb.alerts SET told_at = told_at - interval '2 hours'"))
    session.expire_all()
    later = alerts.apply(session, lonely(), quiet=QUIET)
    assert [alert.key for alert in later.told] == ["queue_without_worker:mail"]


def test_a_rule_that_breaks_blinds_no_other_and_resolves_nothing_of_its_own(
    hub: Hub, session: Session
) -> None:
    def blind(_reader: Reader) -> list[Finding]:
        raise OSError("no eyes")

    findings, broken = rules.look(
        Reader(hub),
        {"queue_without_worker": blind, "other": lambda _: [Finding(text="seen", remedy="none")]},
    )
    alerts.apply(session, lonely(), quiet=QUIET)
    changes = alerts.apply(session, findings, quiet=QUIET, unseen_rules=broken)

    assert broken == {"queue_without_worker": "OSError: no eyes"}
    assert list(findings) == ["other"]
    assert changes.resolved == 0


def test_a_thousand_troubles_of_one_kind_are_a_bounded_list(hub: Hub) -> None:
    many = [Finding(about=f"q{n:04}", text="lonely", remedy="work") for n in range(1000)]

    findings, _ = rules.look(Reader(hub), {"rule": lambda _: many})

    assert len(findings) == rules.MOST_FINDINGS + 1
    assert "q0020 for one" in findings["rule:…"].text


def test_what_is_silent_is_kept_and_told_to_nobody(session: Session) -> None:
    silent = {"unsent_notices": Finding(text="not sent", remedy="retry", is_silent=True)}

    changes = alerts.apply(session, silent, quiet=QUIET)

    assert (changes.opened, changes.told) == (1, [])
    assert [alert.key for alert in alerts.listed(session)] == ["unsent_notices"]


def test_jobs_that_fail_for_good_are_found_by_number_and_by_share(watched: Watched) -> None:
    hub = watched(alert_failures_an_hour=15)
    hub.tasks["work"].defer_many([{"reason": "no"}] * 15 + [{"reason": ""}] * 5)
    hub.run_worker(queues=["shop"], wait=False)

    assert {"failing", "dead_letters"} <= set(found(hub))
    sql(hub, "UPDATE taskhub.attempts SET finished_at = finished_at - interval '2 hours'")
    assert "failing" not in found(hub)


def test_a_job_that_waits_too_long_with_a_worker_at_hand_is_found(watched: Watched) -> None:
    hub = watched(alert_oldest_seconds=60)
    hub.tasks["work"].defer()
    sql(hub, "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '2 minutes'")
    sql(
        hub,
        """
        WITH new AS (
            INSERT INTO taskhub.procrastinate_workers (last_heartbeat) VALUES (now()) RETURNING id
        )
        SELECT id FROM new
        """,
    )

    assert set(found(hub)) >= {"oldest_age:shop"}


def test_a_document_that_no_job_works_on_is_found(watched: Watched) -> None:
    hub = watched()
    sql(
        hub,
        """
        WITH t AS (INSERT INTO taskhub_kb.tenants (name) VALUES ('t') RETURNING id),
        d AS (
            INSERT INTO taskhub_kb.datasets (tenant_id, name, embedding_model, technique,
                process_rule)
            SELECT id, 'd', 'm', 'economy', '{}' FROM t RETURNING id, tenant_id
        )
        INSERT INTO taskhub_kb.documents (dataset_id, tenant_id, name, state, job_id)
        SELECT id, tenant_id, 'lost.txt', 'splitting', 4711 FROM d
        """,
    )

    assert found(hub)["stuck_documents"].text == ("1 documents are neither complete nor worked on")


@pytest.mark.parametrize("setting", ["", "monitor"])
def test_a_schedule_that_was_switched_off_is_not_missed(watched: Watched, setting: str) -> None:
    hub = watched(rollup_cron="", monitor_cron="" if setting else "* * * * *")
    for name in ("statistics_rollup", "queue_monitor"):
        sql(
            hub,
            f"""
            INSERT INTO taskhub.crons
                (task_name, cron_id, expression, zone, catch_up, jitter_seconds, mark)
            VALUES ('{name}', '', '* * * * *', 'UTC', 'last', 0, now() - interval '1 hour')
            """,
        )

    missed = {key for key in found(hub) if key.startswith("missed_schedules")}

    assert missed == (set() if setting else {"missed_schedules:queue_monitor"})


def test_a_server_without_a_knowledge_base_is_skipped_and_not_failed(
    watched: Watched, session: Session
) -> None:
    hub = watched()
    sql(hub, "DROP SCHEMA taskhub_kb CASCADE")

    for task in ("queue_monitor", "failure_digest", "statistics_rollup"):
        assert "skipped" in run(hub, task)
    assert run(hub, "retention")["jobs"] == 0


def test_alerts_are_one_a_key(session: Session) -> None:
    alerts.apply(session, lonely("a") | lonely("b"), quiet=QUIET)
    alerts.apply(session, lonely("a") | lonely("b"), quiet=QUIET)

    assert session.query(Alert).count() == 2
