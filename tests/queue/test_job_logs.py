"""What a job logs is kept with its attempt: by any logger, in coroutines and in threads."""

import asyncio
import functools
import logging
import logging.config
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

from taskhub import Context, Hub
from taskhub.queue import joblogs
from taskhub.queue.context import running
from taskhub.settings import Settings

shop = logging.getLogger("shop")


def attempt(job_id: int = 1) -> Context:
    return Context(
        hub=Hub(settings=Settings()),
        job_id=job_id,
        task_name="send",
        queue="mail",
        attempt=1,
        claim=1,
        worker_id=1,
        hub_id="hub",
    )


def in_job(context: Context, function: Any, *args: Any) -> None:
    """Call `function` as the worker does: in a context of its own that knows the attempt."""

    def call() -> None:
        running.set(context)
        function(*args)

    copy_context().run(call)


@pytest.fixture(autouse=True)
def _info() -> Iterator[None]:
    shop.setLevel(logging.INFO)
    yield
    shop.setLevel(logging.NOTSET)
    shop.propagate = True


def test_a_line_tells_time_level_logger_and_message() -> None:
    context = attempt()

    with joblogs.capture():
        in_job(context, shop.info, "sent %s to %d", "reset", 7)
        log = joblogs.take(context)

    assert log is not None
    at, told = log.split(" ", 1)
    assert told == "INFO shop: sent reset to 7"
    assert at.startswith("20")
    assert at.endswith("Z")


def test_a_job_that_logs_nothing_has_no_log() -> None:
    context = attempt()

    with joblogs.capture():
        in_job(context, len, "")
        assert joblogs.take(context) is None


def test_the_levels_of_loggers_are_respected() -> None:
    context = attempt()

    with joblogs.capture():
        in_job(context, shop.debug, "too low")
        in_job(context, shop.info, "high enough")
        log = joblogs.take(context) or ""

    assert log.endswith("high enough")
    assert "too low" not in log


def test_a_logger_that_does_not_propagate_and_one_reconfigured_meanwhile_are_kept_too() -> None:
    context = attempt()

    with joblogs.capture():
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "loggers": {"shop": {"level": "INFO", "propagate": False}},
            }
        )
        in_job(context, shop.info, "still here")
        log = joblogs.take(context) or ""

    assert log.endswith("still here")


def test_capturing_adds_no_handler_so_the_last_resort_still_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    with joblogs.capture():
        in_job(attempt(), shop.warning, "heard by the person at the terminal")

    assert "heard by the person at the terminal" in capsys.readouterr().err


def test_lines_of_jobs_side_by_side_do_not_mix() -> None:
    contexts = [attempt(n) for n in range(20)]

    async def job(context: Context) -> None:
        running.set(context)
        shop.info("first of %d", context.job_id)
        await asyncio.sleep(0)
        await asyncio.to_thread(shop.info, "second of %d", context.job_id)

    async def all_at_once() -> None:
        await asyncio.gather(*(asyncio.create_task(job(context)) for context in contexts))

    with joblogs.capture():
        asyncio.run(all_at_once())
        logs = [joblogs.take(context) or "" for context in contexts]

    told = [[line.split("shop: ")[1] for line in log.splitlines()] for log in logs]
    assert told == [[f"first of {n}", f"second of {n}"] for n in range(20)]


def test_what_is_logged_outside_of_jobs_and_by_the_worker_itself_is_not_kept() -> None:
    context = attempt()

    with joblogs.capture():
        shop.info("outside")
        in_job(context, logging.getLogger("taskhub.worker").error, "claim lost")

        assert joblogs.take(context) is None


def test_a_traceback_and_a_stack_are_kept() -> None:
    context = attempt()

    def fails() -> None:
        try:
            raise ValueError("why")
        except ValueError:
            shop.exception("gave up", stack_info=True)

    with joblogs.capture():
        in_job(context, fails)
        log = joblogs.take(context) or ""

    assert "ERROR shop: gave up\nTraceback (most recent call last):" in log
    assert "ValueError: why" in log
    assert "Stack (most recent call last):" in log


def test_a_message_whose_arguments_do_not_fit_is_kept_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    context = attempt()

    with joblogs.capture():
        in_job(context, shop.warning, "%d apples", "many")
        log = joblogs.take(context) or ""

    assert log.endswith("'%d apples' with arguments that do not fit")


def test_a_line_is_text_that_postgres_takes() -> None:
    context = attempt()
    shop.propagate = False  # not every handler of the tests takes such a line

    with joblogs.capture():
        in_job(context, shop.info, "a\0b\ud800c")
        log = joblogs.take(context) or ""

    assert log.endswith("a\\x00b\\ud800c")


def test_of_many_lines_the_first_and_the_last_are_kept_and_the_rest_is_counted() -> None:
    context = attempt()

    def talk() -> None:
        for n in range(1000):
            shop.info("line %d", n)

    with joblogs.capture():
        in_job(context, talk)
        log = joblogs.take(context) or ""

    lines = log.splitlines()
    assert lines[0].endswith("line 0")
    assert lines[-1].endswith("line 999")
    assert lines[100] == "… 800 messages left out …"
    assert len(lines) == joblogs.MAX_MESSAGES + 1


def test_long_lines_stay_within_the_bytes() -> None:
    context = attempt()

    def talk() -> None:
        for n in range(100):
            shop.info("%d %s", n, "语" * 900)
        shop.info("x" * 1_000_000)

    with joblogs.capture():
        in_job(context, talk)
        log = joblogs.take(context) or ""

    assert len(log.encode()) <= joblogs.MAX_BYTES + 100
    assert "messages left out" in log
    assert "996000 characters left out" in log


def test_a_thread_that_outlives_its_job_cannot_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joblogs, "MAX_ATTEMPTS", 10)

    with joblogs.capture():
        contexts = [attempt(n) for n in range(30)]
        for context in contexts:
            in_job(context, shop.info, "late")
        kept = [context for context in contexts if joblogs.take(context)]

    assert kept == contexts[-10:]


def test_two_workers_in_one_process_capture_until_the_last_of_them_ends() -> None:
    before = logging.getLogRecordFactory()
    context = attempt()

    with joblogs.capture():
        with joblogs.capture():
            pass
        in_job(context, shop.info, "still kept")
        log = joblogs.take(context)

    assert (log or "").endswith("still kept")
    assert logging.getLogRecordFactory() is before


def test_a_factory_that_is_put_over_ours_stays_and_capturing_goes_on_next_time() -> None:
    before = logging.getLogRecordFactory()
    context = attempt()
    try:
        with joblogs.capture():
            below = logging.getLogRecordFactory()
            theirs = functools.partial(below)
            logging.setLogRecordFactory(theirs)
        assert logging.getLogRecordFactory() is theirs

        in_job(context, shop.info, "not kept")
        with joblogs.capture():
            in_job(context, shop.info, "kept once")
            log = joblogs.take(context) or ""
    finally:
        logging.setLogRecordFactory(before)

    assert [line.split("shop: ")[1] for line in log.splitlines()] == ["kept once"]


def test_lines_from_many_threads_of_one_job_are_all_kept() -> None:
    context = attempt()

    def talk(n: int) -> None:
        in_job(context, shop.info, "thread %d", n)

    with joblogs.capture():
        threads = [threading.Thread(target=talk, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log = joblogs.take(context) or ""

    assert {line.split("thread ")[1] for line in log.splitlines()} == {str(n) for n in range(50)}
