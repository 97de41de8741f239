"""Queues, limits and locks: what is shown, and what the buttons do in the database."""

import re

import pytest

from taskhub import Hub
from taskhub.queue import insight, minutes
from taskhub.queue.limits import Limit
from taskhub.system import statistics
from tests.dashboard.conftest import Browser, Visitor
from tests.dashboard.pages.test_workers import busy
from tests.queue.test_overview import ran
from tests.system.test_statistics import history


def said(hub: Hub, name: str) -> Limit | None:
    return next((limit for limit in hub.limits() if limit.name == name), None)


@pytest.fixture
def queue(hub: Hub) -> str:
    """A queue with two waiting jobs, whose name is not a nice one."""

    @hub.task(name="send", queue="mail & co/1")
    def send() -> None: ...

    send.defer()
    send.defer()
    return "mail & co/1"


def test_a_queue_without_a_worker_is_told_so(browser: Browser, queue: str) -> None:
    page = browser.get("/queues")

    assert "mail &amp; co/1" in page.text
    assert "no worker" in page.text


def test_a_queue_is_paused_with_its_reason_and_goes_on(
    hub: Hub, browser: Browser, queue: str
) -> None:
    page = "/queues/show?name=mail+%26+co%2F1"
    form = {"queue": queue, "reason": "provider is down", "seconds": "3600", "back": page}

    paused = browser.follow(browser.act("/queues/pause", form, page=page))

    rule = said(hub, "queue:mail & co/1")
    assert rule is not None
    assert rule.paused_until is not None
    assert rule.reason == "provider is down"
    assert "provider is down" in paused.text
    assert "is paused." in paused.text

    browser.act("/queues/resume", {"queue": queue}, page=page)

    assert said(hub, "queue:mail & co/1") is None
    audit = [(row.action, row.actor, row.source, row.reason) for row in insight.audit(hub)]
    assert audit == [
        ("resume", "anonymous", "dashboard", None),
        ("pause", "anonymous", "dashboard", "provider is down"),
    ]


def test_a_pause_that_was_not_there_is_noted_as_no_change(
    hub: Hub, browser: Browser, queue: str
) -> None:
    answer = browser.follow(browser.act("/queues/resume", {"queue": queue}))

    assert "was not paused" in answer.text
    [row] = insight.audit(hub)
    assert (row.matched, row.changed, row.outcome) == (1, 0, "partly")


def test_a_limit_is_set_and_taken_back(hub: Hub, browser: Browser, queue: str) -> None:
    name = f"queue:{queue}"
    browser.act("/limits/set", {"name": name, "at_most": "3"}, page="/limits")
    limit = said(hub, name)
    assert limit is not None
    assert limit.at_most == 3
    assert name.replace("&", "&amp;") in browser.get("/limits").text

    browser.act("/limits/remove", {"name": name}, page="/limits")

    assert said(hub, name) is None


@pytest.mark.parametrize("at_most", ["0", "many", "-1", "99999999999", "1e3"])
def test_a_limit_that_cannot_be_is_refused_and_noted(
    hub: Hub, browser: Browser, at_most: str
) -> None:
    form = {"name": "queue:mail", "at_most": at_most, "back": "/limits"}
    page = browser.follow(browser.act("/limits/set", form, page="/limits"))

    assert "at_most must be a whole number" in page.text
    assert hub.limits() == []
    [row] = insight.audit(hub)
    assert row.outcome == "failed"


@pytest.mark.parametrize("name", ["queue:mail", "task:send", "tenant:7"])
def test_queues_tasks_and_keys_are_paused_by_name(hub: Hub, browser: Browser, name: str) -> None:
    browser.act("/limits/pause", {"name": name}, page="/limits")
    limit = said(hub, name)
    assert limit is not None
    assert limit.paused_at is not None

    browser.act("/limits/resume", {"name": name}, page="/limits")

    assert said(hub, name) is None


def row_of(page: str, words: str) -> str:
    """The rest of the table's row that holds these words."""
    found = page[page.index(words) :]
    return found[: found.index("</tr>")]


def test_a_lock_is_shown_with_who_has_it_and_who_waits(hub: Hub, browser: Browser) -> None:
    with busy(hub, lock="shelf <1>", more=2) as job_id:
        row = row_of(browser.get("/limits").text, "shelf &lt;1&gt;")

    assert f'<a href="/jobs/{job_id}">{job_id}</a> knit' in row
    assert ">2</a>" in row


def test_a_lock_that_nobody_has_is_free(hub: Hub, browser: Browser) -> None:
    @hub.task(name="sync", queue="sync", lock="shelf")
    def sync() -> None: ...

    for _ in range(3):
        sync.defer()

    row = row_of(browser.get("/limits").text, "shelf</th>")
    assert "free" in row
    assert ">3</a>" in row


def test_nobody_who_may_only_read_can_pause(visitor: Visitor, hub: Hub, queue: str) -> None:
    reader = visitor(anonymous="read")

    page = reader.get("/queues/show", params={"name": queue})

    assert "<form" not in page.text.split("<main")[1]
    refused = reader.act("/queues/pause", {"queue": queue})
    assert refused.status_code == 403
    assert hub.limits() == []


def test_a_queue_that_is_not_there_is_told(browser: Browser) -> None:
    assert browser.get("/queues/show?name=nowhere").status_code == 404


def test_a_queue_is_drawn_hour_by_hour(hub: Hub, browser: Browser) -> None:
    history(hub, 3, "succeeded", "failed")
    statistics.roll_up(hub)
    hub.pause(queue="shop")

    page = browser.get("/queues/show?name=shop").text

    assert page.count("<figure") == 2
    assert "<td>1</td><td>1</td>" in page


def test_a_count_leads_to_the_jobs_it_counts(browser: Browser, queue: str) -> None:
    page = browser.get("/queues").text

    address = re.search(r'href="(/jobs\?[^"]+todo[^"]*)">2</a>', page)
    assert address is not None
    listed = browser.get(address[1].replace("&amp;", "&")).text
    assert len(set(re.findall(r'href="(/jobs/\d+)"', listed))) == 2


def test_a_queue_shows_its_last_hour(hub: Hub, browser: Browser) -> None:
    ran(hub, 30, ago="3 minutes")
    ran(hub, 10, outcome="failed", ago="2 minutes")
    minutes.add_up(hub)

    page = browser.get("/queues").text

    assert "Runs a minute in the last hour: 40 in all, 30 at most" in page
    assert '<td class="n">25%</td>' in page
    assert '<td class="n">8</td>' in page
