"""What a worker logs: one line for each attempt, and whose job a user's line belongs to."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from taskhub import Backoff, Context, Hub, Snooze
from taskhub.telemetry import logs
from tests.queue import crunching
from tests.telemetry.runs import run_out


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where all logs go meanwhile, as JSON."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    opened = io.StringIO()
    logs.set_up(opened, "info", "json")
    yield opened
    root.handlers[:] = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def of_attempts(stream: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(stream) if "outcome" in line]


def test_each_attempt_has_one_line_with_all_there_is_to_know(hub: Hub, stream: io.StringIO) -> None:
    @hub.task(name="send", queue="mail", retry=Backoff(max_attempts=2, first_seconds=0.001))
    def send(secret: str) -> None:
        raise ValueError("no such address")

    job = send.defer("canary-7f3a")
    run_out(hub, job)

    first, second = of_attempts(stream)
    assert (first["event"], second["event"]) == ("job.retried", "job.failed")
    assert (first["outcome"], second["outcome"]) == ("retried", "failed")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["job_id"] == second["job_id"] == job.id
    assert (first["task"], first["queue"], first["error_type"]) == ("send", "mail", "ValueError")
    assert first["fingerprint"] == second["fingerprint"]
    assert 0 <= first["wait_seconds"] < 60
    assert 0 < first["task_duration_seconds"] < 60
    assert first["worker_id"] > 0
    assert "canary-7f3a" not in stream.getvalue()


def test_arguments_are_logged_where_a_setting_says_so(hub: Hub, stream: io.StringIO) -> None:
    @hub.task(name="send")
    def send(order: int) -> None: ...

    hub._settings = replace(hub.settings, log_arguments=True)
    vars(hub).pop("settings")
    send.defer(7)
    hub.run_worker(wait=False)

    [line] = of_attempts(stream)
    assert json.loads(line["arguments"]) == {"order": 7}


def test_a_line_of_a_coroutine_and_of_a_thread_says_whose_job_it_is(
    hub: Hub, stream: io.StringIO
) -> None:
    shop = logging.getLogger("shop")

    @hub.task(name="beside", queue="mail")
    async def beside() -> None:
        shop.info("from a coroutine")
        await asyncio.to_thread(shop.info, "from a thread of a coroutine")

    @hub.task(name="plain", queue="mail")
    def plain(ctx: Context) -> None:
        shop.info("from a thread", extra={"task": "the user's own"})
        ctx.log.info("by the context")

    jobs = {"beside": beside.defer().id, "plain": plain.defer().id}
    hub.run_worker(wait=False)

    told = {line["event"]: line for line in lines(stream)}
    for event, task in (
        ("from a coroutine", "beside"),
        ("from a thread of a coroutine", "beside"),
        ("from a thread", "plain"),
        ("by the context", "plain"),
    ):
        assert told[event]["job_id"] == jobs[task]
        assert told[event]["queue"] == "mail"
        assert told[event]["attempt"] == 1
    assert told["from a coroutine"]["task"] == "beside"
    assert told["from a thread"]["task"] == "the user's own"
    assert "job_id" not in told["worker started"]


def test_a_line_of_a_child_process_says_whose_job_it_is(
    hub: Hub, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", hub)
    job = crunching.tell.defer()

    hub.run_worker(wait=False)

    told = [line for line in lines(stream) if line.get("job_id") == job.id]
    assert {line["queue"] for line in told} == {crunching.tell.queue}
    assert len(told) > len(of_attempts(stream)) == 1


def test_a_snoozed_attempt_says_so(hub: Hub, stream: io.StringIO) -> None:
    @hub.task(name="later")
    def later() -> None:
        raise Snooze(3600)

    later.defer()
    hub.run_worker(wait=False)

    [line] = of_attempts(stream)
    assert (line["event"], line["outcome"]) == ("job.snoozed", "snoozed")
    assert "error_type" not in line


def test_text_is_for_people(stream: io.StringIO) -> None:
    record = logging.makeLogRecord({"msg": "worker started", "levelname": "INFO", "worker_id": 7})

    assert logs.Lines(as_json=False).format(record).endswith("INFO    worker started worker_id=7")
