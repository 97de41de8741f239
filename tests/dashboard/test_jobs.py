"""Jobs, one job, failures: what is shown, and what buttons do to the database."""

import re
from dataclasses import replace
from html import unescape

import pytest
from sqlalchemy import text

from taskhub import Context, Fail, Hub, Secret
from taskhub.dashboard.redaction import shown
from taskhub.dashboard.tracebacks import own_frames
from taskhub.queue import insight
from tests.dashboard.conftest import Browser, Visitor


@pytest.fixture
def failed(hub: Hub) -> list[int]:
    """Three jobs that failed alike and one that failed otherwise."""

    @hub.task(name="send", queue="mail")
    def send(order_id: int) -> None:
        raise Fail("no such order")

    @hub.task(name="bill", queue="money")
    def bill(ctx: Context, password: str) -> None:
        ctx.log.warning("about to bill")
        raise ValueError("cannot bill")

    ids = [send.defer(n).id for n in range(3)] + [bill.defer("hunter2hunter2").id]
    hub.run_worker(wait=False)
    return ids


def listed(text: str) -> list[int]:
    return [int(n) for n in re.findall(r'<tr id="job-(\d+)"', text)]


def test_a_filter_in_the_address_says_which_jobs_are_listed(
    browser: Browser, failed: list[int]
) -> None:
    assert listed(browser.get("/jobs").text) == failed[::-1]
    assert listed(browser.get("/jobs?q=queue:mail state:failed").text) == failed[2::-1]
    assert listed(browser.get("/jobs?q=args.order_id:1").text) == [failed[1]]
    assert listed(browser.get(f"/jobs?before={failed[1]}").text) == [failed[0]]
    assert listed(browser.get("/jobs?q=state:succeeded").text) == []


@pytest.mark.parametrize("typed", ["state:nonsense", "colour:red", 'error:"open', "x" * 3000])
def test_a_filter_that_is_none_is_told_and_lists_nothing(
    browser: Browser, failed: list[int], typed: str
) -> None:
    page = browser.get("/jobs", params={"q": typed})

    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert listed(page.text) == []


def test_older_jobs_are_a_page_further(browser: Browser, hub: Hub) -> None:
    @hub.task(name="wait")
    def wait(n: int) -> None: ...

    wait.defer_many([{"n": n} for n in range(120)])
    seen: list[int] = []
    address = "/jobs"
    for _ in range(3):
        page = browser.get(address).text
        seen += listed(page)
        found = re.search(r'href="(/jobs\?[^"]*before=\d+)">Older', page)
        address = found[1].replace("&amp;", "&") if found else "/jobs?q=state:failed"

    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, reverse=True)


def test_a_selection_is_retried_with_its_reason_in_the_audit(
    browser: Browser, hub: Hub, failed: list[int]
) -> None:
    form = {"id": [str(failed[0]), str(failed[3])], "reason": "mended"}

    page = browser.follow(browser.act("/jobs/retry", form, page="/jobs"))

    assert "2 of 2 jobs wait again" in page.text
    statuses = [insight.job(hub, n).status for n in failed]
    assert statuses == ["todo", "failed", "failed", "todo"]
    [noted] = insight.audit(hub)
    assert (noted.source, noted.action, noted.reason) == ("dashboard", "retry", "mended")
    assert (noted.target, noted.matched, noted.changed) == ({"ids": [failed[0], failed[3]]}, 2, 2)


def test_what_was_previewed_is_what_is_retried(
    browser: Browser, hub: Hub, failed: list[int]
) -> None:
    preview = browser.get("/jobs/bulk?change=retry&q=queue:mail")
    frozen = re.search(r'name="frozen" value="([^"]+)"', preview.text)
    assert frozen is not None
    assert "3 jobs would wait again" in preview.text
    late = hub.tasks["send"].defer(9).id
    hub.run_worker(wait=False)

    done = browser.follow(
        browser.act("/jobs/bulk", {"frozen": frozen[1], "reason": "all"}, page="/jobs")
    )

    assert "3 of 3 jobs wait again" in done.text
    assert insight.job(hub, late).status == "failed"
    [noted] = insight.audit(hub)
    assert (noted.actor, noted.reason, noted.changed) == ("anonymous", "all", 3)


def test_jobs_that_wait_are_cancelled_and_those_that_ended_are_left(
    browser: Browser, hub: Hub, failed: list[int]
) -> None:
    waiting = hub.tasks["send"].options(delay=60).defer(1).id

    page = browser.follow(
        browser.act("/jobs/cancel", {"id": [str(waiting), str(failed[0])]}, page="/jobs")
    )

    assert "1 of 2 jobs were cancelled" in page.text
    assert insight.job(hub, waiting).status == "cancelled"
    assert insight.job(hub, failed[0]).status == "failed"


def test_a_job_shows_its_runs_with_its_own_frames_and_hides_its_password(
    browser: Browser, failed: list[int]
) -> None:
    page = browser.get(f"/jobs/{failed[3]}")

    assert page.status_code == 200
    for told in ("cannot bill", "about to bill", "Attempt 1", "test_jobs.py", "ValueError"):
        assert told in page.text, told
    assert "hunter2" not in page.text
    assert "***" in page.text


def test_a_job_leads_to_its_trace_where_it_has_one(
    hub: Hub, visitor: Visitor, failed: list[int]
) -> None:
    url = "https://traces.example/{trace_id}?job={job_id}"
    logs = "https://logs.example/{task}"
    settings = replace(hub.settings, dashboard_trace_url=url, dashboard_logs_url=logs)
    browser = visitor(settings=settings)
    carrier = '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET trace = :trace WHERE id = :id"),
            {"trace": carrier, "id": failed[0]},
        )

    traced, other = (browser.get(f"/jobs/{n}").text for n in failed[:2])

    wanted = f"https://traces.example/0af7651916cd43dd8448eb211c80319c?job={failed[0]}"
    assert wanted in traced
    assert "traces.example" not in other
    assert "https://logs.example/send" in other


def test_a_job_that_is_not_there_is_told(browser: Browser) -> None:
    assert browser.get("/jobs/4711").status_code == 404
    assert browser.get("/jobs/99999999999999999999").status_code == 404


def test_failures_are_grouped_by_what_went_wrong(browser: Browser, failed: list[int]) -> None:
    page = browser.get("/failures").text

    counted = re.findall(r'<td class="n"><a href="([^"]+)">(\d+)</a></td>', page)
    assert [int(n) for _, n in counted] == [3, 1]
    group = browser.get(counted[0][0].replace("&amp;", "&"))
    assert listed(group.text) == failed[2::-1]
    for heading in ("First seen", "Last seen", "Tasks", "Queues"):
        assert f">{heading}</th>" in page


def test_a_group_of_failures_is_retried_from_its_row(browser: Browser, failed: list[int]) -> None:
    page = browser.get("/failures").text

    [group, _] = re.findall(r'<a class="button" href="([^"]+)">Retry group …</a>', page)
    address = group.replace("&amp;", "&")
    preview = browser.get(address).text
    frozen = re.search(r'name="frozen" value="([^"]+)"', preview)
    assert frozen is not None
    browser.act("/jobs/bulk", {"frozen": unescape(frozen[1]), "reason": "mended"}, page=address)

    assert listed(browser.get("/jobs?q=state:todo").text) == failed[2::-1]
    assert "no such order" not in browser.get("/failures").text


def test_secrets_are_hidden_by_type_by_name_and_at_any_depth(hub: Hub) -> None:
    @hub.task(name="log_in")
    def log_in(pin: Secret[str], order: dict[str, str]) -> None: ...

    given = {
        "pin": "90210",
        "order": {"API-Key": "k", "list": [{"userPassword": "p", "n": 1 << 70}]},
        "other": {"$secret": "sealed"},
    }

    text = shown(hub, "log_in", given, ["password", "api_key"])

    for hidden in ("90210", '"k"', '"p"', "sealed"):
        assert hidden not in text
    assert str(1 << 70) in text
    assert '"sealed"' not in shown(hub, "unknown task", given, [])


def test_own_frames_come_without_those_of_libraries() -> None:
    told = """Traceback (most recent call last):
  File "/srv/shop/orders.py", line 12, in send
    post(order)
  File "/usr/lib/python3.11/urllib/request.py", line 216, in urlopen
    return opener.open(url)
  File "/srv/shop/post.py", line 3, in post
    raise ValueError
ValueError"""

    assert [(f.file, f.line, f.function, f.code) for f in own_frames(told)] == [
        ("/srv/shop/post.py", 3, "post", "raise ValueError"),
        ("/srv/shop/orders.py", 12, "send", "post(order)"),
    ]
    assert own_frames(None) == []
