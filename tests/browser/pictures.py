"""The README's pictures of the dashboard: a shop's jobs run by a real worker, looked at in Chromium."""

import argparse
import asyncio
import json
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import text

from taskhub import Backoff, Hub, db, embedded, migrations
from taskhub.dashboard import serve
from taskhub.queue import insight, minutes
from taskhub.queue.filters import JobFilter
from taskhub.settings import Settings
from tests.browser.conftest import FLAGS, chromium_path, work
from tests.waiting import until

PICTURES = {"overview": "/", "failures": "/failures"}
WIDTH = 1280
RUNS = {"send_mail": 640, "make_thumbnail": 420, "index_document": 260, "charge_card": 130}
INDEXED_AT_ONCE, INDEXED_LATER, LETTERS = 4, 37, 180
HELD = 9_000
# What took seconds is told as the work of an hour: a job and its runs move back in time together.
AGE = """
WITH backs AS (
    SELECT job_id, make_interval(secs => 70 + 3400 * random()) AS back
    FROM (SELECT DISTINCT job_id FROM taskhub.attempts) AS ids
), runs AS (
    UPDATE taskhub.attempts AS a
    SET deferred_at = a.deferred_at - b.back, started_at = a.started_at - b.back,
        finished_at = a.finished_at - b.back
    FROM backs AS b
    WHERE a.job_id = b.job_id
)
UPDATE taskhub.procrastinate_jobs AS j
SET deferred_at = j.deferred_at - b.back, started_at = j.started_at - b.back,
    finished_at = j.finished_at - b.back
FROM backs AS b
WHERE j.id = b.job_id
"""

_dice = random.Random(7)  # noqa: S311 - it only has to look like life, the same each time
_open = threading.Event()


def main() -> None:
    """Draw them into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with _hub() as hub:
        _declare(hub)
        _an_hour(hub)
        with _at_work(hub), _page(hub) as page:
            for name, path in PICTURES.items():
                page.goto(path)
                page.screenshot(path=folder / f"{name}.png", full_page=True)


@contextmanager
def _hub() -> Iterator[Hub]:
    with embedded.scratch(Path(tempfile.gettempdir()), fsync="off") as url:
        settings = Settings(database_url=url, dashboard_port=0, concurrency=64)
        engine = db.engine(db.address(url), settings)
        migrations.upgrade(engine, settings)
        engine.dispose()
        hub = Hub(settings=settings)
        yield hub
        hub.close()


async def _send_mail(order_id: int) -> None:
    await _takes(0.05)
    if _chance(0.03):
        raise ConnectionRefusedError(f"smtp.example.com:587 refused the receipt of {order_id}")


async def _make_thumbnail(product_id: int) -> None:
    await _takes(0.2)
    if _chance(0.02):
        raise ValueError(f"cannot identify image file 'products/{product_id}.tiff'")


async def _index_document(document_id: int) -> None:
    await _takes(0.6)
    if _chance(0.02):
        json.loads("<html>the document is not ready</html>")
    if document_id >= HELD:
        await asyncio.to_thread(_open.wait)


async def _charge_card(order_id: int) -> None:
    await _takes(0.3)
    if _chance(0.3):
        raise TimeoutError(f"the bank did not answer for order {order_id} within 10 s")


async def _send_newsletter(account_id: int) -> None: ...


def _declare(hub: Hub) -> None:
    again = Backoff(max_attempts=2, first_seconds=0.001)
    hub.task(name="send_mail", queue="mail")(_send_mail)
    hub.task(name="make_thumbnail", queue="media")(_make_thumbnail)
    hub.task(name="index_document", queue="indexing")(_index_document)
    hub.task(name="charge_card", queue="billing", retry=again)(_charge_card)
    hub.task(name="send_newsletter", queue="newsletter")(_send_newsletter)


async def _takes(mean_seconds: float) -> None:
    await asyncio.sleep(min(_dice.expovariate(1 / mean_seconds), 3 * mean_seconds))


def _chance(share: float) -> bool:
    return _dice.random() < share


def _an_hour(hub: Hub) -> None:
    """What ran and failed within the last hour, and what waits."""
    for name, count in RUNS.items():
        for number in range(count):
            # Every fifth receipt goes by the queue for large orders, where the same server is away.
            queue = "mail-large" if name == "send_mail" and number % 5 == 0 else None
            task = hub.tasks[name]
            (task.options(queue=queue) if queue else task).defer(4_100 + number)
    while insight.jobs(hub, JobFilter(statuses=("todo",)), limit=1):
        work(hub)
    with hub.engine.begin() as connection:
        connection.execute(text(AGE))
        connection.execute(text("TRUNCATE taskhub.minutes, taskhub.minutes_mark"))
    minutes.add_up(hub)
    hub.pause(queue="newsletter", reason="the text is being corrected")
    for number in range(LETTERS):
        hub.tasks["send_newsletter"].defer(number)
    for number in range(12):
        hub.tasks["send_mail"].options(delay=3600 + number).defer(number)


@contextmanager
def _at_work(hub: Hub) -> Iterator[None]:
    """A worker whose slots are all taken, with more to do."""
    for number in range(INDEXED_AT_ONCE + INDEXED_LATER):
        hub.tasks["index_document"].defer(HELD + number)
    asked = {"wait": False, "concurrency": INDEXED_AT_ONCE}
    thread = threading.Thread(target=hub.run_worker, kwargs=asked)
    thread.start()
    try:
        until(lambda: len(insight.running(hub)) == INDEXED_AT_ONCE, "a worker that is full")
        yield
    finally:
        _open.set()
        thread.join()


@contextmanager
def _page(hub: Hub) -> Iterator[Page]:
    told: list[str] = []
    with serve.beside(hub, hub.settings, told.append), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield browser.new_page(
            base_url=told[0].removeprefix("dashboard: ").rstrip("/"),
            viewport={"width": WIDTH, "height": 640},
            locale="en-US",
        )
        browser.close()


if __name__ == "__main__":
    main()
