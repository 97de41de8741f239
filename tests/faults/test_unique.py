"""Unique keys that another transaction holds on to: nobody waits long, and no tick is lost."""

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from taskhub import Hub, db
from taskhub.queue import UniqueKeyBusy
from taskhub.queue.scheduler import Scheduler

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def test_nobody_waits_longer_than_five_seconds(hub: Hub) -> None:
    @hub.task(unique="k")
    def task() -> None: ...

    with psycopg.connect(db.conninfo(hub.url)) as other:
        task.options(connection=other).defer()
        began = time.monotonic()
        with pytest.raises(UniqueKeyBusy, match="unique key 'k'"):
            task.defer()

    assert 4.5 < time.monotonic() - began < 15


def test_a_tick_whose_key_cannot_be_had_is_tried_again(hub: Hub) -> None:
    @hub.cron("* * * * *", name="tick", unique="k")
    def tick(scheduled_for: datetime) -> None: ...

    scheduler = Scheduler(hub)
    with scheduler.connect() as connection, psycopg.connect(db.conninfo(hub.url)) as other:
        scheduler.now = NOON
        scheduler.round(connection)
        tick.options(connection=other).defer(NOON)
        scheduler.now = NOON + timedelta(minutes=1.5)
        seconds = scheduler.round(connection)
        [held_up] = hub.crons.states()
        other.rollback()
        scheduler.round(connection)
        [done] = hub.crons.states()

    assert seconds <= 30
    assert held_up.last_tick is None
    assert done.last_tick == NOON + timedelta(minutes=1)
    assert done.last_job_id is not None
