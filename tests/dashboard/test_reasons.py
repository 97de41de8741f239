"""Why a job is where it is, for who reads Chinese."""

import re
from pathlib import Path

import pytest

from taskhub import Hub
from taskhub.dashboard import words
from taskhub.dashboard.reasons import SENTENCES
from taskhub.queue import why
from tests.dashboard.conftest import Browser
from tests.queue.staged import new_worker, run_by

NAMED = re.compile(r'(?:Reason|paused|full)\(\s*"(\w+)"')
PLACES = re.compile(r"%\((\w+)\)s")


@pytest.fixture
def chinese(browser: Browser) -> Browser:
    """A browser whose reader prefers Chinese."""
    browser.headers["accept-language"] = "zh-CN"
    return browser


def test_every_reason_there_is_has_a_sentence() -> None:
    sources = [file.read_text(encoding="utf-8") for file in Path(why.__file__).parent.glob("*.py")]
    named = {name for source in sources for name in NAMED.findall(source)}

    assert len(named) > 25
    assert named | set(why.held._AGAIN.values()) | {"scheduled"} == set(SENTENCES)


def test_a_translated_sentence_has_the_values_of_its_original() -> None:
    translated = words.translations("zh-CN")

    for sentences in SENTENCES.values():
        for sentence in sentences:
            told = translated.gettext(sentence)
            assert set(PLACES.findall(told)) == set(PLACES.findall(sentence)), told


def test_a_job_behind_a_lock_says_so_in_chinese_and_keeps_the_whole_in_english(
    hub: Hub, chinese: Browser
) -> None:
    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    holder, waiting = (send.options(lock="<b>a").defer() for _ in range(2))
    run_by(hub, new_worker(hub), holder.id)

    page = chinese.get(f"/jobs/{waiting.id}").text

    assert f"等待锁 &lt;b&gt;a，目前由任务 {holder.id} 持有。" in page
    assert f"held by job {holder.id}" in page
    assert "<b>a" not in page


def test_every_reason_of_a_job_is_told(hub: Hub, chinese: Browser) -> None:
    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    job = send.defer()
    hub.pause(queue="mail", reason="100% <i>full")

    page = chinese.get(f"/jobs/{job.id}").text

    assert re.search(r"队列 mail 已于<time [^>]*>[^<]+</time>暂停：100% &lt;i&gt;full", page)
    assert "没有在线的工作进程处理队列 mail。" in page


def test_who_reads_english_sees_the_whole_sentence_alone(hub: Hub, browser: Browser) -> None:
    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    page = browser.get(f"/jobs/{send.defer().id}").text

    assert "waits for a live worker: none serves queue" in page
    assert "<details" not in page.split("</form>")[-1].split("Arguments")[0]
