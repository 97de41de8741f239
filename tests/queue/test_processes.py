"""Tasks in child processes: what they are given, how they end, and what is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.queue import crunching
from tests.waiting import until

from taskhub import Hub, Status
from taskhub.queue import insight
from taskhub.queue.jobs import Job
from taskhub.queue.worker import Worker
from taskhub.settings import Settings


@pytest.fixture
def hub(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose process tasks are those of `crunching`, here and in the children."""
    assert settings.database_url is not None
    monkeypatch.setenv("TASKHUB_DATABASE_URL", settings.database_url)
    made = Hub(settings=replace(settings, process_children=2, timeout_grace_seconds=0.5))
    made.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", made)
    yield made
    made.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def failure(job: Job[Any]) -> tuple[str, str]:
    assert job.status() is Status.FAILED
    attempt = job.attempts()[-1]
    return (attempt.error_class or "").rsplit(".", 1)[-1], attempt.error_message or ""


@contextmanager
def working(hub: Hub) -> Iterator[Worker]:
    """A worker in a thread, drained at the end."""
    made = hub.worker()
    thread = threading.Thread(target=lambda: asyncio.run(made.run()))
    thread.start()
    try:
        yield made
    finally:
        made.stop(0.0)
        thread.join(20)
        assert not thread.is_alive()


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def written(path: Path) -> Callable[[], str]:
    return lambda: path.read_text() if path.exists() else ""


def test_plain_and_async_functions_run_in_a_child(hub: Hub) -> None:
    first, second = crunching.add.defer(1, 2), crunching.add_async.defer(3, 4)
    where = crunching.pid.defer()

    work(hub)

    assert (first.result(timeout=0), second.result(timeout=0)) == (3, 7)
    assert where.result(timeout=0) != os.getpid()


def test_children_are_used_again_and_replaced_after_so_many_jobs(hub: Hub) -> None:
    hub.__dict__["settings"] = replace(hub.settings, process_children=1, process_max_jobs=3)
    jobs = [crunching.pid.defer() for _ in range(7)]

    work(hub)

    pids = [job.result(timeout=0) for job in jobs]
    assert pids[0] == pids[1] == pids[2]
    assert len(set(pids)) == 3
    assert not any(is_alive(pid) for pid in pids)


def test_the_context_works_in_a_child_and_its_log_comes_back(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    job = crunching.tell.defer()

    work(hub)

    job_id, attempt, key, cancelled = job.result(timeout=0)
    assert (job_id, attempt, cancelled) == (job.id, 1, False)
    assert str(key).endswith(f"-{job.id}")
    assert "WARNING taskhub.task: halfway" in (job.attempts()[0].log or "")
    assert "halfway" in caplog.messages


def test_a_child_reaches_the_database_through_its_hub(hub: Hub) -> None:
    job = crunching.count_jobs.defer()

    work(hub)

    assert job.result(timeout=0) == 1


def test_what_a_task_raises_in_a_child_obeys_retry(hub: Hub) -> None:
    again, once = crunching.breaks.defer("value"), crunching.breaks.defer("key")

    while Status.TODO in (again.status(), once.status()):
        work(hub)

    assert [a.outcome for a in again.attempts()] == ["retried", "failed"]
    assert [a.outcome for a in once.attempts()] == ["failed"]
    assert again.attempts()[0].error_class == "ValueError"
    assert "in breaks" in (again.attempts()[0].traceback or "")


@pytest.mark.parametrize(
    ("what", "outcomes"),
    [("sub", ["retried", "failed"]), ("never", ["failed"]), ("other", ["failed"])],
)
def test_retry_on_and_never_on_count_subclasses_in_a_child(
    hub: Hub, what: str, outcomes: list[str]
) -> None:
    job = crunching.raises.defer(what)

    while job.status() is Status.TODO:
        work(hub)

    assert [a.outcome for a in job.attempts()] == outcomes


def test_retry_at_in_a_child_names_the_time(hub: Hub) -> None:
    when = datetime(2999, 1, 1, tzinfo=UTC)
    job = crunching.returns_at.defer(when.isoformat())

    work(hub)

    assert [a.outcome for a in job.attempts()] == ["retried"]
    assert insight.job(hub, job.id).scheduled_at == when


def test_arguments_of_an_older_version_are_brought_up_for_a_child(hub: Hub) -> None:
    job = crunching.twice.defer(1)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET version = NULL, args = '{\"number\": 21}'")
        )

    work(hub)

    assert job.result(timeout=0) == 42


def test_snooze_in_a_child_uses_no_attempt(hub: Hub, tmp_path: Path) -> None:
    job = crunching.snooze_once.defer(str(tmp_path / "mark"))

    while job.status() is Status.TODO:
        work(hub)

    assert [a.outcome for a in job.attempts()] == ["snoozed", "succeeded"]


def test_a_child_inherits_no_descriptor_and_not_what_is_the_workers_own(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/nothing")
    monkeypatch.setenv("APP_TOKEN", "for the task")
    job = crunching.descriptors_and_environment.defer()

    with Path(__file__).open("rb") as opened:
        os.set_inheritable(opened.fileno(), True)
        work(hub)

    found, names = job.result(timeout=0)
    assert __file__ not in found
    assert sum(name.startswith("socket:") for name in found) == 1
    assert "NOTIFY_SOCKET" not in names
    assert "APP_TOKEN" in names


@pytest.mark.parametrize(
    ("how", "told"),
    [("segfault", "SIGSEGV"), ("exit", "exit code 3"), ("kill", "SIGKILL")],
)
def test_a_childs_death_is_its_jobs_failure_and_nobody_elses(hub: Hub, how: str, told: str) -> None:
    dying = crunching.die.defer(how)
    neighbours = [crunching.add.defer(n, n) for n in range(6)]

    work(hub)

    name, message = failure(dying)
    assert name == "ChildDied"
    assert told in message
    assert [job.result(timeout=0) for job in neighbours] == [0, 2, 4, 6, 8, 10]


def test_a_copy_of_a_child_does_not_answer_for_it(hub: Hub) -> None:
    jobs = [crunching.die.defer("fork"), *[crunching.add.defer(n, 1) for n in range(4)]]

    work(hub)

    assert jobs[0].status() is Status.SUCCEEDED
    assert [job.result(timeout=0) for job in jobs[1:]] == [1, 2, 3, 4]


def test_a_memory_hog_is_killed_and_its_neighbours_finish(hub: Hub) -> None:
    hog, neighbour = crunching.eat_memory.defer(), crunching.add.defer(1, 1)

    work(hub)

    name, message = failure(hog)
    assert name == "MemoryLimit"
    assert "memory_mb is 300" in message
    assert neighbour.result(timeout=0) == 2


def test_processor_time_and_open_files_are_limited(hub: Hub) -> None:
    burning, opening = crunching.burn.defer(), crunching.open_many.defer()

    work(hub)

    assert failure(burning)[0] == "CpuLimit"
    assert failure(opening)[0] == "OSError"


@pytest.mark.parametrize("name", ["sleep_long", "sleep_long_async"])
def test_a_late_job_gets_the_timeout_raised_in_it(hub: Hub, name: str) -> None:
    job = getattr(crunching, name).defer()

    work(hub)

    assert failure(job) == ("TaskTimeout", "timed out after 0.5 s")


@pytest.mark.parametrize("name", ["hold_the_gil", "ignore_sigterm"])
def test_a_late_job_that_cannot_hear_is_killed(hub: Hub, name: str) -> None:
    job = getattr(crunching, name).defer()
    neighbour = crunching.add.defer(1, 1)

    work(hub)

    told = "timed out after 0.5 s and did not stop; its process was killed"
    assert failure(job) == ("TaskTimeout", told)
    assert neighbour.result(timeout=0) == 2


def test_what_a_job_started_dies_with_its_child(hub: Hub, tmp_path: Path) -> None:
    job = crunching.fork_children.defer(str(tmp_path / "pids"))

    work(hub)

    assert failure(job)[0] == "TaskTimeout"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the grandchildren")


def test_a_result_above_the_limit_fails_the_job(hub: Hub) -> None:
    hub.__dict__["settings"] = replace(hub.settings, process_max_result_bytes=1_000_000)
    job, neighbour = crunching.huge_result.defer(100), crunching.add.defer(1, 1)

    work(hub)

    assert failure(job)[0] == "ResultTooLarge"
    assert neighbour.result(timeout=0) == 2


def test_cancelling_a_process_job_kills_its_child_within_two_seconds(
    hub: Hub, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    job = crunching.hold.defer(str(path))
    with working(hub):
        pid = int(until(written(path), "the start"))

        asked_at = time.monotonic()
        job.cancel(reason="not needed")
        until(lambda: not is_alive(pid), "the end of the child")
        took = time.monotonic() - asked_at

        until(lambda: job.status() is Status.ABORTED, "the outcome")
    assert took < 2.0


def test_a_process_job_can_see_that_it_is_cancelled(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    job = crunching.until_cancelled.defer(str(path))
    with working(hub):
        until(written(path), "the start")
        job.cancel()
        until(lambda: path.read_text() == "seen", "the job's own end")


def test_a_drain_gives_process_jobs_back_and_leaves_no_child(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    job = crunching.hold.defer(str(path))
    with working(hub):
        pid = int(until(written(path), "the start"))

    assert not is_alive(pid)
    assert job.status() is Status.TODO
    assert [a.outcome for a in job.attempts()] == ["interrupted"]


def test_a_killed_worker_takes_its_children_along(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    crunching.hold.defer(str(path))
    program = "from tests.queue.crunching import hub; hub.run_worker()"
    worker = subprocess.Popen([sys.executable, "-c", program])
    try:
        pid = int(until(written(path), "the start", seconds=40))
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    until(lambda: not is_alive(pid), "the end of the child", seconds=5)


def daemons(path: Path) -> list[int]:
    """The processes that `start_daemons` left, once all of them are there."""
    until((path / "ready").exists, "the start", seconds=40)
    return [int(p.name) for p in path.iterdir() if p.name.isdigit()]


@pytest.mark.parametrize("how", ["cancel", "memory", "exit"])
def test_what_left_its_childs_group_and_session_dies_with_it(
    hub: Hub, tmp_path: Path, how: str
) -> None:
    job = crunching.start_daemons.defer(str(tmp_path), how)
    with working(hub):
        pids = daemons(tmp_path)
        if how == "cancel":
            job.cancel()
        until(lambda: job.status() not in (Status.TODO, Status.DOING), "the outcome")

    assert len(pids) == 2
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the daemons", seconds=5)


def test_a_killed_worker_takes_along_what_its_children_started(hub: Hub, tmp_path: Path) -> None:
    crunching.start_daemons.defer(str(tmp_path), "stay")
    program = "from tests.queue.crunching import hub; hub.run_worker()"
    worker = subprocess.Popen([sys.executable, "-c", program])
    try:
        pids = daemons(tmp_path)
        assert all(is_alive(pid) for pid in pids)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the daemons", seconds=5)


def test_a_task_that_a_child_cannot_import_is_refused_when_it_is_declared(hub: Hub) -> None:
    def inner() -> None: ...

    with pytest.raises(TypeError, match="must not be declared in a function"):
        hub.task(executor="process")(inner)
    inner.__module__ = "__main__"
    with pytest.raises(TypeError, match="in __main__; move it to the top level of a module"):
        hub.task(executor="process")(inner)


def test_a_process_task_settles_and_is_throttled_as_others_are(hub: Hub) -> None:
    hub.limit("api", per_day=1, burst=100)
    hub.limit("throttled", at_most=8, feedback=True)
    settled, throttled = crunching.settle.defer(), crunching.be_throttled.defer()
    work(hub)

    assert settled.status() is Status.SUCCEEDED
    assert throttled.status() is Status.TODO
    by_name = {limit.name: limit for limit in hub.limits()}
    assert by_name["throttled"].slots == 4
    assert by_name["api"].tokens == pytest.approx(90, abs=0.1)
