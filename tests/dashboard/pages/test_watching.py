"""Alerts, audit, system and tasks: what is shown to whoever watches."""

import dataclasses

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue import audit, insight
from taskhub.settings import Settings
from taskhub.system import statistics
from tests.dashboard.conftest import Browser, Visitor
from tests.system.conftest import SECRET
from tests.system.receiver import receiving
from tests.system.test_statistics import history


def alert(hub: Hub, key: str, *, resolved: bool = False) -> None:
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO taskhub_kb.alerts (key, severity, text, remedy, resolved_at)
                VALUES (:key, 'critical', :key || ' is <wrong>', 'taskhub worker',
                    CASE WHEN :resolved THEN now() END)
            """),
            {"key": key, "resolved": resolved},
        )


def test_open_alerts_are_shown_and_resolved_ones_on_demand(browser: Browser, hub: Hub) -> None:
    alert(hub, "now")
    alert(hub, "past", resolved=True)

    page, every = browser.get("/alerts").text, browser.get("/alerts?resolved=1").text

    assert "now is &lt;wrong&gt;" in page
    assert "past is" not in page
    assert "past is" in every


def test_a_test_of_a_sink_arrives_there(visitor: Visitor, settings: Settings, hub: Hub) -> None:
    with receiving() as receiver:
        told = dataclasses.replace(
            settings, notice_webhook_url=receiver.url, notice_webhook_secret=SECRET
        )
        browser = visitor(settings=told)
        form = {"sink": "webhook", "back": "/alerts"}
        page = browser.follow(browser.act("/alerts/test", form, page="/alerts")).text

        assert "webhook took the notice." in page
        assert len(receiver.received) == 1
        receiver.answers.append((400, {}))
        page = browser.follow(browser.act("/alerts/test", form, page="/alerts")).text

    assert "400" in page
    assert [row.outcome for row in insight.audit(hub)] == ["failed", "done"]


def test_the_audit_is_filtered_and_paged(browser: Browser, hub: Hub) -> None:
    for n in range(60):
        audit.record(
            hub,
            actor="mei" if n % 2 else "<ada>",
            source="cli",
            action="pause",
            target={"queue": f"q{n}"},
            reason=f"reason {n} <b>",
        )

    first = browser.get("/audit").text
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = browser.get(following).text
    ada = browser.get("/audit", params={"actor": "<ada>"}).text

    assert "reason 59 &lt;b&gt;" in first
    assert "reason 9 " not in first
    assert "reason 9 &lt;b&gt;" in second
    assert "reason 58 " in ada
    assert "reason 59 " not in ada


def test_what_is_secret_is_not_told_on_the_system_page(
    visitor: Visitor, settings: Settings
) -> None:
    password, key = "hunter2hunter2", "sk-hidden"
    told = dataclasses.replace(settings, smtp_password=password, embedding_api_key=key)
    page = visitor(settings=told).get("/system").text

    assert "hunter2" not in page
    assert "sk-hidden" not in page
    assert "smtp_password" in page
    assert "taskhub.procrastinate_jobs" in page
    assert "PostgreSQL" in page


def test_the_checks_name_the_command_that_mends(browser: Browser) -> None:
    page = browser.get("/system/checks")

    assert page.status_code == 200
    assert "no worker is live" in page.text
    assert "<code>taskhub worker</code>" in page.text
    assert page.text.index("warn") < page.text.index("reached, PostgreSQL")


def test_the_system_page_is_for_those_who_operate(visitor: Visitor) -> None:
    answer = visitor(anonymous="read").get("/system")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


@pytest.fixture
def past(hub: Hub) -> Hub:
    """A hub whose task ran some hours ago."""
    history(hub, 3, "succeeded", "succeeded", "failed", task="<work>")
    history(hub, 30, "succeeded", task="older")
    statistics.roll_up(hub)
    return hub


def test_tasks_are_listed_with_their_times(browser: Browser, past: Hub) -> None:
    day, week = browser.get("/tasks").text, browser.get("/tasks?period=7d").text

    assert "&lt;work&gt;" in day
    assert "33%" in day
    assert "older" not in day
    assert "older" in week


def test_a_task_is_drawn_hour_by_hour_with_its_numbers(browser: Browser, past: Hub) -> None:
    page = browser.get("/tasks/show", params={"name": "<work>"}).text

    assert page.count("<figure") == 2
    assert "<td>2</td><td>1</td>" in page
    assert browser.get("/tasks/show?name=nobody").status_code == 404
