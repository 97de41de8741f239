"""What hurt people in the system this replaces, and does not here: the queue itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from taskhub import Context, Fail, Hub
from taskhub.cli import main
from taskhub.queue import insight, retention
from taskhub.settings import Settings
from tests.queue.staged import change, gone, new_worker, run_by
from tests.waiting import until


@pytest.fixture
def settings(database: str) -> Settings:
    return Settings(database_url=database, concurrency=4, poll_seconds=0.1, lease_seconds=1)


# 1. A queue was added and nobody listened to it: "queuing" for ever, without any error.
def test_a_queue_that_nobody_serves_is_loud(
    hub: Hub, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @hub.task(name="extract", queue="brand-new")
    def extract() -> None: ...

    job = extract.defer()
    new_worker(hub, queues=["dataset"])
    monkeypatch.setenv("TASKHUB_DATABASE_URL", database)

    with pytest.raises(SystemExit) as ended:
        main(["status"])

    assert ended.value.code == 8
    assert "queue 'brand-new' holds 1 ready jobs and has no live worker" in capsys.readouterr().out
    assert "none serves queue 'brand-new'" in insight.why(hub, job.id).sentence


def test_a_worker_serves_every_queue_unless_it_is_told_which(hub: Hub) -> None:
    ran: list[str] = []
    for name in ("dataset", "brand-new", "monitor"):

        @hub.task(name=f"task of {name}", queue=name)
        def task(queue: str) -> None:
            ran.append(queue)

        task.defer(name)

    hub.run_worker(wait=False)

    assert sorted(ran) == ["brand-new", "dataset", "monitor"]


# 9. A task that took longer than the broker's visibility timeout was delivered again and again.
def test_a_job_that_takes_longer_than_every_timeout_runs_once(hub: Hub) -> None:
    runs: list[int] = []
    leases_over = threading.Event()

    @hub.task(name="long", queue="dataset")
    def long(ctx: Context) -> None:
        runs.append(ctx.attempt)
        leases_over.wait(20)

    job = long.defer()
    other = Hub(settings=hub.settings)
    other.task(name="long", queue="dataset")(lambda: runs.append(0))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(hub.run_worker, wait=False)
        until(lambda: runs, "the job begins")
        # Three leases by the database's clock, each renewed in time.
        until(
            lambda: _age_of_the_run(hub, job.id) > 3 * hub.settings.lease_seconds,
            "three leases pass",
        )
        other.run_worker(wait=False)
        leases_over.set()
        first.result(20)
    other.close()

    assert runs == [1]
    assert [a.outcome for a in insight.job(hub, job.id).history] == ["succeeded"]


def _age_of_the_run(hub: Hub, job_id: int) -> float:
    query = text(
        "SELECT extract(epoch FROM now() - started_at) FROM taskhub.procrastinate_jobs WHERE id = :id"
    )
    with hub.engine.connect() as connection:
        return float(connection.scalar(query, {"id": job_id}) or 0)


# 11. Workers stopped taking tasks; the queue stood for a day and nothing said so.
def test_a_worker_that_fell_silent_is_seen_and_its_jobs_go_on(hub: Hub) -> None:
    ran: list[int] = []

    @hub.task(name="send", queue="dataset")
    def send(ctx: Context) -> None:
        ran.append(ctx.attempt)

    job = send.defer()
    silent = new_worker(hub, queues=["dataset"])
    run_by(hub, silent, job.id)
    gone(hub, silent)

    [seen] = insight.workers(hub)
    assert (seen.id, seen.state, seen.running) == (silent, "lost", 1)
    until(lambda: _rescued(hub, ran), "another worker takes over")

    assert [a.outcome for a in insight.job(hub, job.id).history] == ["lost", "succeeded"]


def _rescued(hub: Hub, ran: list[int]) -> bool:
    hub.run_worker(wait=False)
    return bool(ran)


def test_how_old_the_oldest_ready_job_is_can_be_asked(hub: Hub) -> None:
    @hub.task(name="send", queue="dataset")
    def send() -> None: ...

    send.defer()
    change(hub, "UPDATE taskhub.procrastinate_jobs SET deferred_at = now() - interval '1 day'")

    [queue] = insight.queues(hub)
    assert queue.oldest_ready_seconds is not None
    assert queue.oldest_ready_seconds >= timedelta(days=1).total_seconds()


# 13. The Redis lock ran out in the middle of the work, and two wrote to one index.
def test_a_lock_holds_for_as_long_as_its_job_runs(hub: Hub) -> None:
    inside: list[int] = []
    most: list[int] = []
    enough = threading.Event()

    @hub.task(name="write", queue="dataset", lock="dataset:{dataset_id}")
    def write(ctx: Context, dataset_id: int) -> None:
        inside.append(ctx.job_id)
        most.append(len(inside))
        enough.wait(20)
        inside.remove(ctx.job_id)

    first, second = write.defer(1), write.defer(1)
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(hub.run_worker, wait=False)
        until(lambda: inside, "the first begins")
        until(lambda: _age_of_the_run(hub, first.id) > 2 * hub.settings.lease_seconds, "two leases")
        assert insight.job(hub, second.id).status == "todo"
        assert f"job {first.id}" in insight.why(hub, second.id).sentence
        enough.set()
        working.result(20)

    assert most == [1, 1]


# 15. Redis only grew: results and finished work stayed in memory.
def test_what_is_done_and_old_goes_by_itself(hub: Hub) -> None:
    @hub.task(name="send", queue="dataset")
    def send(n: int) -> str:
        if n % 2:
            raise Fail("odd")
        return "x" * n

    send.defer_many([{"n": n} for n in range(50)])
    hub.run_worker(wait=False)
    assert _jobs(hub) == 25  # what succeeded has left the table; the dead letters stay for a while
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET finished_at = now() - interval '400 days', "
        "deferred_at = now() - interval '400 days'",
    )

    retention.prune(hub)

    assert _jobs(hub) == 0


def _jobs(hub: Hub) -> int:
    with hub.engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM taskhub.procrastinate_jobs")) or 0


# 15. Saves that came out of order took a run back to a state it had left.
def test_saves_of_one_thing_happen_in_the_order_of_their_deferral(hub: Hub) -> None:
    state: list[str] = []

    @hub.task(name="save", queue="dataset", lock="run:{run_id}")
    def save(run_id: int, status: str) -> None:
        state.append(status)

    for status in ("pending", "running", "succeeded"):
        save.defer(1, status)
    hub.run_worker(wait=False)

    assert state == ["pending", "running", "succeeded"]
