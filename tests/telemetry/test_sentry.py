"""What Sentry is told, as a real HTTP endpoint receives it."""

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from typing import Any

import pytest

from taskhub import Backoff, Fail, Hub
from taskhub.telemetry import sentry
from tests.queue import crunching
from tests.telemetry.runs import run_out


class Inbox(ThreadingHTTPServer):
    """Keeps the items of every envelope that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items: list[tuple[str, dict[str, Any]]] = []

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.server_port}/1"

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for of, item in self.items if of == kind]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.split(b"\n")
        assert isinstance(self.server, Inbox)
        for head, item in zip(lines[1::2], lines[2::2], strict=False):
            if head:
                self.server.items.append((json.loads(head)["type"], json.loads(item)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as made:
        serving = threading.Thread(target=made.serve_forever)
        serving.start()
        yield made
        made.shutdown()
        serving.join()


@pytest.fixture
def told(hub: Hub, inbox: Inbox) -> Hub:
    """A hub whose settings name the endpoint."""
    hub._settings = replace(hub.settings, sentry_dsn=inbox.dsn, sentry_environment="test")
    vars(hub).pop("settings")
    return hub


def test_a_final_failure_is_told_once_with_our_fingerprint_and_no_argument(
    told: Hub, inbox: Inbox
) -> None:
    telling = sentry.instrument(told)

    @told.task(name="send", queue="mail", retry=Backoff(max_attempts=2, first_seconds=0.001))
    def send(token: str) -> None:
        raise ValueError("no such address")

    token = token_hex()  # not in this file: the lines around an error are told
    job = send.defer(token)
    run_out(told, job)
    fingerprint = job.attempts()[-1].fingerprint
    telling.close()

    [event] = inbox.of("event")
    [error] = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "no such address")
    assert error["stacktrace"]["frames"][-1]["function"] == "send"
    assert event["fingerprint"] == ["send", fingerprint]
    assert event["tags"] == {"task": "send", "queue": "mail", "attempt": "2"}
    assert event["contexts"]["job"]["job_id"] == job.id
    assert event["environment"] == "test"
    assert "breadcrumbs" not in event
    assert token not in json.dumps(inbox.items)
    assert not any("vars" in frame for frame in error["stacktrace"]["frames"])


def test_a_failure_in_a_child_process_has_its_class_and_traceback(
    told: Hub, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", told)
    telling = sentry.instrument(told)

    run_out(told, crunching.raises.defer("canary"))
    telling.close()

    [event] = inbox.of("event")
    [error] = event["exception"]["values"]
    assert error["type"] != "FailedInChild"
    assert "raises" in event["extra"]["traceback"]


def test_a_schedule_checks_in_and_out(told: Hub, inbox: Inbox) -> None:
    @told.cron("0 2 * * *", tz="Europe/Berlin")
    def nightly() -> None: ...

    @told.cron("0 3 * * *")
    def broken() -> None:
        raise Fail("no")

    telling = sentry.instrument(told)
    names = [cron.name for cron in told.crons.states()]
    for name in names:
        run_out(told, told.crons.run(name))
    telling.close()

    by_slug: dict[str, list[dict[str, Any]]] = {}
    for check in inbox.of("check_in"):
        by_slug.setdefault(check["monitor_slug"].rpartition("-")[2], []).append(check)
    assert [c["status"] for c in by_slug["nightly"]] == ["in_progress", "ok"]
    assert [c["status"] for c in by_slug["broken"]] == ["in_progress", "error"]
    assert len({c["check_in_id"] for c in by_slug["nightly"]}) == 1
    assert by_slug["nightly"][0]["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "0 2 * * *"},
        "timezone": "Europe/Berlin",
    }


def test_without_a_client_nothing_is_told_and_no_job_fails(hub: Hub) -> None:
    sentry.instrument(hub)

    @hub.task(name="send")
    def send() -> None:
        raise Fail("no")

    job = send.defer()
    run_out(hub, job)

    assert job.attempts()[-1].error_message == "no"
