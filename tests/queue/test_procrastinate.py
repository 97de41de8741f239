"""procrastinate's own client on our tables: it defers, lists, cancels, retries."""

import asyncio
from collections.abc import Iterator

import procrastinate
import pytest
from procrastinate import SyncPsycopgConnector

from taskhub import Hub, Status, db


@pytest.fixture
def theirs(hub: Hub) -> Iterator[procrastinate.App]:
    """procrastinate's App on the hub's database, found through search_path as its docs say."""
    app = procrastinate.App(
        connector=SyncPsycopgConnector(
            conninfo=db.conninfo(hub.url), kwargs={"options": "-c search_path=taskhub"}
        )
    )
    with app.open():
        yield app


def test_a_job_that_their_client_deferred_runs_on_our_worker(
    hub: Hub, theirs: procrastinate.App
) -> None:
    seen: list[int] = []

    @hub.task(name="add", queue="sums")
    def add(n: int) -> None:
        seen.append(n)

    theirs.configure_task("add", queue="sums", lock="x").defer(n=3)
    hub.run_worker(wait=False)

    assert seen == [3]


def test_their_client_lists_and_cancels_our_job(hub: Hub, theirs: procrastinate.App) -> None:
    @hub.task(name="add", queue="sums")
    def add(n: int) -> None: ...

    job = add.defer(3)

    [listed] = theirs.job_manager.list_jobs(queue="sums")
    assert (listed.id, listed.task_name, listed.task_kwargs) == (job.id, "add", {"n": 3})
    assert theirs.job_manager.cancel_job_by_id(job.id)
    assert job.status() is Status.CANCELLED


def test_their_worker_runs_our_job(hub: Hub) -> None:
    @hub.task(name="add", queue="sums")
    def add(n: int) -> None: ...

    job = add.defer(3)
    seen: list[int] = []
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=db.conninfo(hub.url), kwargs={"options": "-c search_path=taskhub"}
        )
    )

    @app.task(name="add")
    async def theirs(n: int) -> None:
        seen.append(n)

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(wait=False, install_signal_handlers=False)

    asyncio.run(work())

    assert seen == [3]
    assert job.status() is Status.SUCCEEDED
