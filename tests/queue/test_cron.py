"""Periodic tasks: one job for each tick in the whole fleet, whatever pauses, dies or restarts."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.examples import examples
from tests.queue.staged import gone, new_worker
from tests.waiting import until

from taskhub import Blueprint, Context, Hub, db
from taskhub.queue.cron_actions import CronInUse, CronState, UnknownCron
from taskhub.queue.crons import CatchUp
from taskhub.queue.scheduler import Scheduler
from taskhub.queue.schedules import BadSchedule
from taskhub.queue.worker import Worker
from taskhub.settings import Settings

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def deferred(hub: Hub) -> list[str]:
    """The ticks of all jobs, in the order of their ids."""
    with hub.engine.connect() as connection:
        query = f"SELECT args->>'scheduled_for' FROM {hub.settings.schema}.procrastinate_jobs ORDER BY id"
        return list(connection.scalars(text(query)))


def count(hub: Hub) -> int:
    return len(deferred(hub))


def clock(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def as_stored(*minutes: float) -> list[str]:
    return [clock(m).isoformat() for m in minutes]


def round_at(hub: Hub, now: datetime, scheduler: Scheduler | None = None) -> Scheduler:
    """One round of a scheduler that reads `now` on the clock of the database."""
    scheduler = scheduler or Scheduler(hub)
    scheduler.now = now
    with scheduler.connect() as connection:
        scheduler.round(connection)
    return scheduler


def every_minute(hub: Hub, **options: Any) -> None:
    @hub.cron("* * * * *", name="tick", **options)
    def tick(scheduled_for: datetime) -> None: ...


def one(hub: Hub) -> CronState:
    [state] = hub.crons.states()
    return state


# Declaring


def test_a_cron_declares_a_task_with_all_its_options(hub: Hub) -> None:
    @hub.cron("0 2 * * *", tz="Europe/Berlin", name="nightly", queue="night", lock="nightly")
    def nightly() -> str:
        return "done"

    job = nightly.defer()

    assert nightly() == "done"
    assert nightly.queue == "night"
    assert job.task_name == "nightly"
    assert one(hub).expression == "0 2 * * *"
    assert one(hub).tz == "Europe/Berlin"
    assert one(hub).state == "new"


def test_crons_stack_on_a_task_and_on_each_other(hub: Hub) -> None:
    blueprint = Blueprint()

    @blueprint.every(minutes=5, id="often")
    @blueprint.cron("0 2 * * *")
    @blueprint.task(name="report", queue="reports")
    async def report(ctx: Context, day: str = "today") -> None: ...

    hub.add(blueprint)

    assert report.queue == "reports"
    assert [(s.name, s.expression) for s in hub.crons.states()] == [
        ("report", "0 2 * * *"),
        ("report:often", "every 300 s"),
    ]


def test_two_schedules_of_a_task_need_ids(hub: Hub) -> None:
    @hub.cron("0 2 * * *", name="report")
    def report() -> None: ...

    with pytest.raises(ValueError, match="another id="):
        hub.cron("0 3 * * *")(report)


def test_a_task_that_needs_arguments_is_refused_unless_they_are_given(hub: Hub) -> None:
    def clean(folder: str) -> None: ...

    with pytest.raises(TypeError, match="folder"):
        hub.cron("0 2 * * *", name="bad")(clean)
    hub.cron("0 2 * * *", name="good", arguments={"folder": "tmp"})(clean)


@pytest.mark.parametrize("catch_up", ["some", 0, 1001, True])
def test_a_policy_that_means_nothing_is_refused(hub: Hub, catch_up: Any) -> None:
    with pytest.raises(BadSchedule, match="catch_up"):
        every_minute(hub, catch_up=catch_up)


def test_a_misspelled_option_is_refused(hub: Hub) -> None:
    with pytest.raises(TypeError, match="catchup"):
        every_minute(hub, catchup="last")


# Ticks


def test_a_schedule_begins_when_it_first_appears(hub: Hub) -> None:
    every_minute(hub, catch_up="all")

    scheduler = round_at(hub, clock(0.5))
    assert deferred(hub) == []

    round_at(hub, clock(1.0), scheduler)
    assert deferred(hub) == as_stored(1)


def test_a_tick_is_deferred_once_by_any_number_of_rounds_and_workers(hub: Hub) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))

    for _ in range(3):
        round_at(hub, clock(1.2))

    assert deferred(hub) == as_stored(1)
    assert one(hub).last_tick == clock(1)
    assert one(hub).last_job_id is not None


@pytest.mark.parametrize(
    ("catch_up", "ticks"),
    [
        ("none", as_stored(60)),  # not a minute old: on time
        ("last", as_stored(60)),
        ("all", as_stored(*range(1, 61))),
        (3, as_stored(58, 59, 60)),
    ],
)
def test_after_an_hour_without_workers_the_policy_says_which_ticks_run(
    hub: Hub, catch_up: CatchUp, ticks: list[str]
) -> None:
    every_minute(hub, catch_up=catch_up)
    round_at(hub, clock(0.5))

    round_at(hub, clock(60.5))
    round_at(hub, clock(60.6))

    assert deferred(hub) == ticks


@pytest.mark.parametrize(("catch_up", "jobs"), [("none", 0), ("last", 1), ("all", 3)])
def test_a_nightly_job_that_nobody_was_there_for_runs_only_if_it_is_to_be_caught_up(
    hub: Hub, catch_up: CatchUp, jobs: int
) -> None:
    @hub.cron("0 2 * * *", name="nightly", catch_up=catch_up)
    def nightly() -> None: ...

    round_at(hub, NOON)

    scheduler = round_at(hub, NOON + timedelta(days=3))

    assert count(hub) == jobs
    round_at(hub, NOON + timedelta(days=3, hours=14), scheduler)
    assert count(hub) == jobs + 1


def test_a_changed_expression_goes_on_where_the_old_one_was(hub: Hub, settings: Settings) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))
    round_at(hub, clock(3.1))
    changed = Hub(settings=settings)

    @changed.cron("*/2 * * * *", name="tick", catch_up="all")
    def tick(scheduled_for: datetime) -> None: ...

    round_at(changed, clock(6.5))
    changed.close()

    assert deferred(hub) == as_stored(3, 4, 6)


def test_jitter_is_the_same_in_every_worker_and_spreads_the_ticks(
    hub: Hub, settings: Settings
) -> None:
    other = Hub(settings=settings)
    for one_of in (hub, other):
        every_minute(one_of, jitter=30)
    [mine], [theirs] = hub.tasks["tick"].crons, other.tasks["tick"].crons

    waits = [
        (mine.new_job(clock(n)).common.at, theirs.new_job(clock(n)).common.at) for n in range(50)
    ]

    assert all(a == b for a, b in waits)
    seconds = [(a - clock(n)).total_seconds() for n, (a, _) in enumerate(waits) if a is not None]
    assert len(seconds) == 50
    assert 0 <= min(seconds) < 10
    assert 20 < max(seconds) < 30


def test_a_tick_whose_queueing_lock_is_taken_is_left_out_and_the_next_one_comes(hub: Hub) -> None:
    every_minute(hub, catch_up="all", queueing_lock="tick")
    round_at(hub, clock(0.5))

    round_at(hub, clock(3.5))
    assert deferred(hub) == as_stored(1)

    with hub.engine.begin() as connection:
        connection.execute(text("DELETE FROM taskhub.procrastinate_jobs"))
    round_at(hub, clock(4.5))
    assert deferred(hub) == as_stored(4)


def test_a_tick_whose_unique_key_a_job_has_is_dealt_with(hub: Hub) -> None:
    every_minute(hub, catch_up="all", unique="tick")
    round_at(hub, clock(0.5))

    round_at(hub, clock(3.5))
    round_at(hub, clock(4.5))
    assert deferred(hub) == as_stored(1)
    assert one(hub).last_tick == clock(4)
    assert hub.crons.run("tick").id == one(hub).last_job_id

    with hub.engine.begin() as connection:
        connection.execute(text("DELETE FROM taskhub.procrastinate_jobs"))
    round_at(hub, clock(5.5))
    assert deferred(hub) == as_stored(5)


def test_a_tick_that_lies_ahead_of_the_databases_clock_is_refused(hub: Hub) -> None:
    every_minute(hub)
    # The time the worker believes in, a day ahead, whatever made it so.
    ahead = Scheduler(hub)
    ahead.now = datetime.now(UTC) + timedelta(days=1)
    round_at(hub, datetime.now(UTC) - timedelta(minutes=0.1))
    with ahead.connect() as connection:
        [due], _ = ahead.look(connection)
        ahead.now = None

        assert ahead.store(connection, due) == []

    assert deferred(hub) == []


def test_one_schedule_that_cannot_be_stored_does_not_hold_up_the_others(hub: Hub) -> None:
    @hub.cron("* * * * *", name="a_bad_one", arguments={"path": "x" * 70_000})
    def bad(path: str) -> None: ...

    every_minute(hub)
    round_at(hub, clock(0.5))

    round_at(hub, clock(1.5))

    assert deferred(hub) == as_stored(1)


# Cut in the middle


def test_a_worker_that_dies_between_insert_and_commit_neither_loses_nor_doubles_the_tick(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))
    dying = Scheduler(hub)
    dying.now = clock(1.5)
    insert = dying._insert

    def insert_and_die(connection: Any, jobs: Any) -> list[int]:
        ids = insert(connection, jobs)
        assert ids
        with psycopg.connect(db.conninfo(hub.url), autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return ids

    monkeypatch.setattr(dying, "_insert", insert_and_die)
    with dying.connect() as connection, pytest.raises(psycopg.OperationalError):
        dying.round(connection)
    assert deferred(hub) == []

    monkeypatch.undo()
    round_at(hub, clock(1.6))
    round_at(hub, clock(1.7), dying)

    assert deferred(hub) == as_stored(1)


def test_a_worker_that_waits_for_another_ones_tick_finds_it_taken(hub: Hub) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))
    first, second = Scheduler(hub), Scheduler(hub)
    first.now = second.now = clock(1.5)
    stored: list[list[int]] = []
    with first.connect() as one_side, second.connect() as other_side:
        [due], _ = first.look(one_side)
        [same], _ = second.look(other_side)
        with one_side.transaction():
            ids = first.store(one_side, due)
            waiting = threading.Thread(target=lambda: stored.append(second.store(other_side, same)))
            waiting.start()
            until(lambda: is_blocked(hub), "the second worker waits")
        waiting.join(10)

    assert len(ids) == 1
    assert stored == [[]]
    assert deferred(hub) == as_stored(1)


def test_a_worker_that_looked_later_does_not_store_what_another_one_stored_since(hub: Hub) -> None:
    every_minute(hub, catch_up="all")
    round_at(hub, clock(0.5))
    first, second = Scheduler(hub), Scheduler(hub)
    with first.connect() as connection:
        first.now, second.now = clock(1.5), clock(2.5)
        [early], _ = first.look(connection)
        [late], _ = second.look(connection)

        stored = [first.store(connection, early), second.store(connection, late)]
        second.round(connection)

    assert [len(ids) for ids in stored] == [1, 0]
    assert deferred(hub) == as_stored(1, 2)


def is_blocked(hub: Hub) -> bool:
    with hub.engine.connect() as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return bool(connection.scalar(text(query)))


# Time goes on, then all look in some order and some of them store, now or after the next ones looked.
STEPS = st.lists(
    st.builds(
        lambda seconds, steps: [("advance", seconds), *steps],
        st.sampled_from([20, 60, 61, 150]),
        st.lists(
            st.tuples(
                st.sampled_from(["look", "look", "store", "store", "crash", "restart"]),
                st.integers(0, 2),
            ),
            min_size=3,
            max_size=9,
        ),
    ),
    max_size=8,
).map(lambda rounds: [step for steps in rounds for step in steps])


class Fleet:
    """Three schedulers that stop anywhere between look and commit."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.seconds = 0
        self.schedulers = [Scheduler(hub) for _ in range(3)]
        self.seen: list[list[Any]] = [[], [], []]

    def do(self, connection: Any, step: str, n: int) -> None:
        if step == "advance":
            self.seconds += n
        elif step == "restart":
            self.schedulers[n], self.seen[n] = Scheduler(self.hub), []
        elif step == "look":
            self.schedulers[n].now = self.now
            self.seen[n], _ = self.schedulers[n].look(connection)
        elif self.seen[n]:
            # What was seen may be old by now, and the transaction may never commit.
            self.schedulers[n].now = self.now
            with connection.transaction():
                self.schedulers[n].store(connection, self.seen[n][0])
                if step == "crash":
                    raise psycopg.Rollback
            self.seen[n] = []

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@hypothesis_settings(max_examples=examples(20, 60), deadline=None)
@given(steps=STEPS)
def test_three_schedulers_that_stop_and_restart_anywhere_defer_every_tick_exactly_once(
    steps: list[tuple[str, int]], fleet_hub: Hub
) -> None:
    hub = fleet_hub
    with Scheduler(hub).connect() as connection:
        connection.execute("TRUNCATE taskhub.procrastinate_jobs, taskhub.crons")
        fleet = Fleet(hub)
        fleet.do(connection, "look", 0)
        for step, n in steps:
            fleet.do(connection, step, n)
        for n in range(3):
            fleet.do(connection, "restart", n)
            fleet.do(connection, "look", n)
            fleet.do(connection, "store", n)

    assert sorted(deferred(hub)) == as_stored(*range(1, fleet.seconds // 60 + 1))


@pytest.fixture(scope="module")
def fleet_hub(server: str) -> Iterator[Hub]:
    from tests.conftest import TEMPLATE, _fresh

    for url in _fresh(server, TEMPLATE):
        hub = Hub(settings=Settings(database_url=url, concurrency=4))
        every_minute(hub, catch_up="all")
        yield hub
        hub.close()


# Workers


@contextmanager
def workers(hub: Hub, number: int, **options: Any) -> Iterator[None]:
    """So many workers, each on a loop and in a thread of its own."""
    made = [Worker(hub, **options) for _ in range(number)]
    loops: list[asyncio.AbstractEventLoop] = []

    def run(worker: Worker) -> None:
        async def live() -> None:
            loops.append(asyncio.get_running_loop())
            await worker.run()

        asyncio.run(live())

    threads = [threading.Thread(target=run, args=(worker,)) for worker in made]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(loops) == number, "all workers run")
        yield
    finally:
        for worker in made:
            until(lambda: hasattr(worker, "_tenure"), "the worker has begun")  # noqa: B023
            for loop in loops:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(worker.stop, 0.0)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def test_three_workers_run_each_second_once_and_at_its_time(hub: Hub) -> None:
    ran: list[tuple[datetime, datetime]] = []

    @hub.every(seconds=1, name="second", queue="seconds")
    def second(scheduled_for: datetime) -> None:
        ran.append((scheduled_for, datetime.now(UTC)))

    # Any worker schedules, whatever queues it serves.
    with workers(hub, 2, queues=["elsewhere"]), workers(hub, 1, queues=["seconds"]):
        until(lambda: len(ran) >= 4, "four ticks run")

    ticks = [tick for tick, _ in ran]
    assert len(set(ticks)) == len(ticks)
    assert {b - a for a, b in pairwise(ticks)} == {timedelta(seconds=1)}
    assert all(timedelta(0) <= at - tick for tick, at in ran)


def test_a_burst_runs_what_waits_and_schedules_nothing(hub: Hub) -> None:
    @hub.every(seconds=1, name="second")
    def second() -> None: ...

    hub.run_worker(wait=False)

    assert one(hub).state == "new"


def test_the_scheduler_goes_on_when_its_connection_was_cut(hub: Hub) -> None:
    @hub.every(seconds=1, name="second", queue="none")
    def second() -> None: ...

    def newest() -> int:
        return one(hub).last_job_id or 0

    scheduler = Scheduler(hub)
    scheduler.start()
    first = until(newest, "the first tick is deferred")
    with hub.engine.connect() as connection:
        connection.execute(
            text("""
                SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
        )
    until(lambda: newest() > first, "another tick is deferred")
    scheduler.stop()

    assert not scheduler._thread.is_alive()


# Operators


def test_a_paused_schedule_defers_nothing_and_what_came_meanwhile_is_left_out(hub: Hub) -> None:
    every_minute(hub, catch_up="all")
    round_at(hub, datetime.now(UTC) - timedelta(minutes=10))

    paused = hub.crons.pause("tick", reason="the disk is full")
    scheduler = round_at(hub, datetime.now(UTC))
    assert (paused.state, paused.pause_reason) == ("paused", "the disk is full")
    assert paused.next_tick is None
    assert count(hub) == 0

    resumed = hub.crons.resume("tick")
    round_at(hub, datetime.now(UTC), scheduler)
    assert (resumed.state, resumed.pause_reason) == ("active", None)
    late = [tick for tick in deferred(hub) if datetime.fromisoformat(tick) < resumed.now]
    assert late == []

    round_at(hub, resumed.now + timedelta(minutes=2), scheduler)
    assert count(hub) == 2


def test_a_pause_between_look_and_commit_wins(hub: Hub) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))
    scheduler = Scheduler(hub)
    scheduler.now = clock(1.5)
    with scheduler.connect() as connection:
        [due], _ = scheduler.look(connection)
        hub.crons.pause("tick")

        assert scheduler.store(connection, due) == []


def test_a_schedule_can_be_paused_before_any_worker_has_declared_it(hub: Hub) -> None:
    every_minute(hub)

    hub.crons.pause("tick", reason="not yet")
    scheduler = round_at(hub, datetime.now(UTC))
    round_at(hub, datetime.now(UTC) + timedelta(hours=1), scheduler)

    assert one(hub).state == "paused"
    assert count(hub) == 0


def test_run_now_defers_a_job_paused_or_not_and_moves_no_mark(hub: Hub) -> None:
    every_minute(hub, jitter=3600)
    scheduler = round_at(hub, clock(0.5))
    hub.crons.pause("tick")

    job = hub.crons.run("tick")
    hub.run_worker(wait=False)

    assert job.status().value == "succeeded"
    assert one(hub).last_tick is None
    round_at(hub, clock(1.5), scheduler)
    assert count(hub) == 0  # its tick is still paused


def test_run_now_is_not_part_of_a_transaction_around_it(hub: Hub) -> None:
    every_minute(hub)

    with pytest.raises(ZeroDivisionError), hub.transaction():
        hub.crons.run("tick")
        _ = 1 / 0

    assert count(hub) == 1


def test_a_name_that_no_schedule_has_is_refused_everywhere(hub: Hub) -> None:
    every_minute(hub)
    calls: list[Callable[[str], object]] = [
        hub.crons.pause,
        hub.crons.resume,
        hub.crons.run,
        hub.crons.states,
    ]

    for call in calls:
        with pytest.raises(UnknownCron, match="'tock'"):
            call("tock")


def test_a_schedule_that_no_worker_declares_any_more_stops_and_is_shown_so(
    hub: Hub, settings: Settings
) -> None:
    every_minute(hub)
    round_at(hub, datetime.now(UTC) - timedelta(minutes=5))
    later = Hub(settings=settings)

    @later.cron("* * * * *", name="another")
    def another() -> None: ...

    round_at(later, datetime.now(UTC))
    states = {state.name: state.state for state in later.crons.states()}
    with pytest.raises(UnknownCron, match="declared by another program"):
        later.crons.run("tick")
    later.close()

    assert states == {"tick": "stopped", "another": "active"}
    assert count(hub) == 0


def test_the_next_ticks_are_told_on_the_clock_of_the_zone(hub: Hub) -> None:
    @hub.cron("30 2 * * *", tz="Europe/Berlin", name="nightly")
    def nightly() -> None: ...

    ticks = one(hub).next_ticks(400)

    assert len(ticks) == 400
    assert sum(tick.strftime("%H:%M") == "02:30" for tick in ticks) >= 398
    assert len({tick.date() for tick in ticks}) == 400


def test_a_schedule_that_no_live_worker_declares_is_forgotten_with_its_pause(hub: Hub) -> None:
    every_minute(hub)
    round_at(hub, clock(0.5))
    worker_id = new_worker(hub, crons=("tick",))
    hub.crons.pause("tick", reason="for ever")

    with pytest.raises(
        CronInUse, match=rf"declared by live worker {worker_id} \(box, pid 77\), which"
    ):
        hub.crons.remove("tick")
    gone(hub, worker_id)
    new_worker(hub, crons=("other",))
    assert hub.crons.remove("tick", dry_run=True).state == "paused"
    assert one(hub).state == "paused"
    hub.crons.remove("tick")

    assert one(hub).state == "new"  # this hub still declares it
    with closing(Hub(settings=hub.settings)) as other, pytest.raises(UnknownCron):
        other.crons.remove("tick")


def test_a_worker_registers_the_schedules_that_it_declares(hub: Hub) -> None:
    every_minute(hub)
    seen: list[Any] = []

    @hub.task(name="look")
    def look() -> None:
        seen.extend(hub.read("cron_workers", name="tick"))

    look.defer()
    hub.run_worker(wait=False)

    assert len(seen) == 1
    assert hub.read("cron_workers", name="tick") == []
