"""Schedules: in words, with what comes next, run now, paused, forgotten."""

import pytest

from taskhub import Hub
from taskhub.dashboard.phrases import schedule_in_words
from taskhub.queue import insight
from tests.dashboard.conftest import Browser


@pytest.fixture
def nightly(hub: Hub) -> str:
    @hub.cron("30 2 * * 1", name="sweep", queue="night")
    def sweep() -> None: ...

    return "sweep"


def test_a_schedule_is_said_in_words_with_its_next_five(browser: Browser, nightly: str) -> None:
    page = browser.get("/schedules").text

    assert "At 02:30, only on Monday" in page
    assert page.count("02:30:00 UTC</li>") == 5
    browser.headers["accept-language"] = "zh-CN"
    assert "在 02:30, 仅在 星期一" in browser.get("/schedules").text


def test_a_schedule_runs_now_pauses_and_goes_on(hub: Hub, browser: Browser, nightly: str) -> None:
    browser.act("/schedules/run", {"name": nightly}, page="/schedules")
    assert [job.task for job in insight.jobs(hub)] == ["sweep"]

    browser.act("/schedules/pause", {"name": nightly, "reason": "stock-taking"}, page="/schedules")
    [state] = hub.crons.states(nightly)
    assert (state.state, state.pause_reason) == ("paused", "stock-taking")
    assert "stock-taking" in browser.get("/schedules").text

    browser.act("/schedules/resume", {"name": nightly}, page="/schedules")
    [state] = hub.crons.states(nightly)
    assert state.state == "active"
    actions = [row.action for row in insight.audit(hub)]
    assert actions == ["cron resume", "cron pause", "cron run"]


def test_a_schedule_that_nobody_declares_any_more_is_forgotten(
    hub: Hub, browser: Browser, nightly: str
) -> None:
    hub.crons.pause(nightly)
    hub.tasks.pop(nightly)

    browser.act("/schedules/remove", {"name": nightly}, page="/schedules")

    assert hub.crons.states() == []


def test_a_schedule_that_is_not_there_is_named(hub: Hub, browser: Browser) -> None:
    form = {"name": "<nobody>", "back": "/schedules"}
    page = browser.follow(browser.act("/schedules/run", form, page="/schedules"))

    assert "no schedule is named &#39;&lt;nobody&gt;&#39;" in page.text
    assert insight.audit(hub)[0].outcome == "failed"


@pytest.mark.parametrize(
    ("expression", "english", "chinese"),
    [
        ("*/5 * * * *", "Every 5 minutes", "每 5 分钟"),
        ("@daily", "At 00:00", "在 00:00"),
        ("*/10 * * * * 30", "At 30 seconds past the minute, every 10 minutes", None),
        ("every 90 s", "every 90 seconds", "每 90秒钟"),
        ("every 7200 s", "every 2 hours", "每 2小时"),
    ],
)
def test_expressions_are_said_in_words(expression: str, english: str, chinese: str | None) -> None:
    assert schedule_in_words(expression, "en") == english
    if chinese is not None:
        assert schedule_in_words(expression, "zh-CN") == chinese
