"""How far a job is: told often, stored seldom, the last word always."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session
from tests.queue import crunching
from tests.waiting import until

from taskhub import Backoff, Context, Hub, Item, Job, Status
from taskhub.cli.look import _job_screen
from taskhub.queue import insight, retention


@pytest.fixture
def sent(hub: Hub) -> Iterator[list[str]]:
    """The statements that store reports."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "report_progress_v1" in statement:
            statements.append(statement)

    event.listen(hub.engine, "before_cursor_execute", note)
    yield statements
    event.remove(hub.engine, "before_cursor_execute", note)


def far(job: Job[Any]) -> tuple[float, float | None, str] | None:
    progress = job.progress()
    return None if progress is None else (progress.done, progress.out_of, progress.note)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_job_reports_often_and_is_stored_seldom(
    hub: Hub, sent: list[str], is_async: bool
) -> None:
    def count(ctx: Context) -> None:
        for n in range(10_001):
            ctx.progress(n, 10_000, f"at {n}")

    if is_async:

        @hub.task(name="counts")
        async def counts(ctx: Context) -> None:
            count(ctx)
    else:
        hub.task(name="counts")(count)
    job = hub.tasks["counts"].defer()
    assert job.progress() is None
    hub.run_worker(wait=False)

    assert far(job) == (10_000, 10_000, "at 10000")
    shown = _job_screen(insight.job(hub, job.id))
    assert "progress   10000 of 10000 (100 %), at 10000" in shown
    assert str(job.progress()) == "10000 of 10000 (100 %), at 10000"
    assert len(sent) <= 5


def test_progress_is_seen_while_the_job_runs(hub: Hub) -> None:
    @hub.task
    def counts(ctx: Context) -> None:
        ctx.progress(1, 3)
        until(lambda: far(job) == (1, 3, ""), "the first report")
        ctx.progress(2, 3, "more")
        until(lambda: far(job) == (2, 3, "more"), "the second report")

    job = counts.defer()
    hub.run_worker(wait=False)

    assert job.status() is Status.SUCCEEDED


def test_reports_of_many_jobs_go_in_few_statements(hub: Hub, sent: list[str]) -> None:
    @hub.task
    async def counts(ctx: Context, n: int) -> None:
        ctx.progress(n)
        await asyncio.sleep(0)

    jobs = counts.defer_many([{"n": n} for n in range(200)])
    hub.run_worker(wait=False, concurrency=200)

    assert [far(job) for job in jobs[::40]] == [(n, None, "") for n in range(200)[::40]]
    assert len(sent) < 100


def test_the_last_word_of_a_job_that_failed_is_kept_and_the_next_attempt_replaces_it(
    hub: Hub,
) -> None:
    seen: list[Any] = []

    @hub.task(retry=Backoff(max_attempts=2, first_seconds=0.01))
    def breaks(ctx: Context) -> None:
        seen.append(far(job))
        ctx.progress(ctx.attempt, 9)
        raise ValueError

    job = breaks.defer()
    while job.status() is Status.TODO:
        hub.run_worker(wait=False)

    assert seen == [None, (1, 9, "")]
    progress = job.progress()
    assert progress is not None
    assert (progress.done, progress.attempt, progress.share) == (2, 2, 2 / 9)


def test_a_report_of_a_claim_that_is_over_does_not_count(hub: Hub) -> None:
    @hub.task
    def loses(ctx: Context) -> None:
        ctx.progress(1, 2)
        until(lambda: far(job) == (1, 2, ""), "the report")
        with hub.engine.begin() as other:
            other.execute(text("UPDATE taskhub.procrastinate_jobs SET claim = claim + 1"))
        ctx.progress(2, 2)

    job = loses.defer()
    hub.run_worker(wait=False)

    assert far(job) == (1, 2, "")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_transactional_task_is_seen_before_its_commit_and_its_last_word_is_kept(
    hub: Hub, is_async: bool
) -> None:
    def work(ctx: Context) -> None:
        ctx.progress(1, 2)
        until(lambda: far(job) == (1, 2, ""), "the report")
        ctx.progress(2, 2)

    if is_async:
        from sqlalchemy.ext.asyncio import AsyncSession

        @hub.task(name="settle", transactional=True)
        async def settle_async(ctx: Context, session: AsyncSession) -> None:
            await asyncio.to_thread(work, ctx)
    else:

        @hub.task(name="settle", transactional=True)
        def settle(ctx: Context, session: Session) -> None:
            work(ctx)

    job = hub.tasks["settle"].defer()
    hub.run_worker(wait=False)

    assert job.status() is Status.SUCCEEDED
    assert far(job) == (2, 2, "")


def test_a_child_process_reports_through_its_worker(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKHUB_DATABASE_URL", hub.settings.database_url or "")
    hub.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", hub)
    job = crunching.counts_up.defer(str(tmp_path / "go"))
    worker = threading.Thread(target=lambda: hub.run_worker(wait=False))
    worker.start()
    try:
        until(lambda: far(job) == (999, 1000, "counting"), "the report")
    finally:
        (tmp_path / "go").touch()
        worker.join()

    assert far(job) == (1000, 1000, "")


def test_each_item_of_a_batch_has_its_own_progress(hub: Hub) -> None:
    @hub.task(batch=3)
    async def embed(items: list[Item]) -> None:
        for item in items[:2]:
            item.progress(item.args["n"], 5)

    jobs = embed.defer_many([{"n": n} for n in range(3)])
    hub.run_worker(wait=False)

    assert [far(job) for job in jobs] == [(0, 5, ""), (1, 5, ""), None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"done": -1}, "done must be 0 or more and at most 1e15, got -1"),
        ({"done": float("nan")}, "done must be 0 or more and at most 1e15, got nan"),
        ({"done": 1, "of": 0}, "of must be above 0 and at most 1e15, got 0"),
        ({"done": 10**400}, "done must be 0 or more"),
        ({"done": "1"}, "done must be a number, got '1'"),
        ({"done": 1, "note": 7}, "note must be a text, got int"),
    ],
)
def test_what_is_no_progress_is_refused(hub: Hub, given: dict[str, Any], message: str) -> None:
    context = Context(hub, 1, "t", "q", 1, 1, 1, "")

    with pytest.raises((ValueError, TypeError)) as raised:
        context.progress(**given)

    assert message in str(raised.value)


def test_a_note_that_postgres_refuses_is_written_out_and_a_long_one_cut(hub: Hub) -> None:
    @hub.task
    async def notes(ctx: Context) -> None:
        ctx.progress(1, note="\0\ud800" + "x" * 1000)

    job = notes.defer()
    hub.run_worker(wait=False)

    progress = job.progress()
    assert progress is not None
    assert progress.note.startswith("\\x00\\ud800xxx")
    assert len(progress.note) < 250


def test_progress_goes_with_the_history(hub: Hub) -> None:
    @hub.task
    async def counts(ctx: Context) -> None:
        ctx.progress(1)

    @hub.task
    async def breaks(ctx: Context) -> None:
        ctx.progress(1)
        raise ValueError

    done, kept, failed = counts.defer(), counts.defer(), breaks.defer()
    hub.run_worker(wait=False)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.progress SET at = now() - interval '31 days' WHERE job_id <> :id"),
            {"id": kept.id},
        )

    assert retention.prune(hub, dry_run=True).progress == 1
    assert retention.prune(hub).progress == 1
    assert [far(job) is None for job in (done, kept, failed)] == [True, False, False]
