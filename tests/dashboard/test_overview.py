"""The overview: a verdict with its reasons, and numbers that lead to the jobs they count."""

import re
from pathlib import Path

from taskhub import Hub
from taskhub.dashboard.pages.overview import FINDINGS
from taskhub.queue import insight
from tests.dashboard.conftest import Browser
from tests.queue.staged import change, gone, new_worker


def test_work_that_nobody_serves_is_told_first_with_a_way_to_it(hub: Hub, browser: Browser) -> None:
    @hub.task(name="send", queue="mail & more")
    def send() -> None: ...

    assert "All is well" in browser.get("/").text
    send.defer()

    page = browser.get("/").text

    assert "Work stands still" in page
    assert "which no live worker serves" in page
    address = re.search(r'<a href="([^"]+)">1</a>', page)
    assert address is not None
    assert '<tr id="job-1"' in browser.get(address[1].replace("&amp;", "&")).text
    assert '<svg class="spark" role="img"' in page


def test_every_finding_has_a_sentence_for_who_reads_no_english() -> None:
    source = (Path(insight.__file__).parent / "overview.py").read_text(encoding="utf-8")

    assert set(re.findall(r'Finding\(\s*"(\w+)"', source)) == set(FINDINGS)


def test_what_is_not_as_it_should_be_is_told_in_chinese_with_its_numbers(
    hub: Hub, browser: Browser
) -> None:
    browser.headers["accept-language"] = "zh-CN"

    @hub.task(name="send", queue="<b>mail")
    def send() -> None: ...

    send.defer()
    unserved = browser.get("/").text
    gone(hub, new_worker(hub))
    new_worker(hub)
    change(hub, "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '2 hours'")
    late = browser.get("/").text
    hub.pause(queue="<b>mail")
    paused = browser.get("/").text

    assert "队列 &lt;b&gt;mail 有 1 个任务在等待，但没有在线的工作进程处理它。" in unserved
    assert "队列 &lt;b&gt;mail 中最早就绪的任务已等待 2小时，允许 15分钟。" in late
    assert "1 个工作进程没有续租；它们的任务会自动归还。" in late
    assert "队列 &lt;b&gt;mail 已暂停，有 1 个任务在等待。" in paused
