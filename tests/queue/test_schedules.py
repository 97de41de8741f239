"""When schedules are due, also where clocks change: Berlin 2026-03-29 and 2026-10-25."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskhub.queue.schedules import BadSchedule, Cron, Every, newest_ticks, parse, ticks_between


def on_clock(expression: str, first: str, last: str, zone: str = "Europe/Berlin") -> list[str]:
    """The ticks between two dates, as people there read them: day, time and offset."""
    tz = ZoneInfo(zone)
    start = datetime.fromisoformat(first).replace(tzinfo=tz) - timedelta(microseconds=1)
    end = datetime.fromisoformat(last).replace(tzinfo=tz)
    ticks = ticks_between(Cron(expression, zone), start, end)
    return [tick.astimezone(tz).strftime("%d %H:%M%z")[:-2] for tick in ticks]


@pytest.mark.parametrize(
    ("expression", "first", "last", "ticks"),
    [
        # 02:30 does not exist on the 29th: it runs when the clock jumps from 02:00 to 03:00.
        ("30 2 * * *", "2026-03-28", "2026-03-31", ["28 02:30+01", "29 03:00+02", "30 02:30+02"]),
        # 02:30 comes twice on the 25th: it runs in the first pass.
        ("30 2 * * *", "2026-10-24", "2026-10-27", ["24 02:30+02", "25 02:30+02", "26 02:30+01"]),
        ("0 3 * * *", "2026-03-28", "2026-03-31", ["28 03:00+01", "29 03:00+02", "30 03:00+02"]),
        ("0 3 * * *", "2026-10-24", "2026-10-27", ["24 03:00+02", "25 03:00+01", "26 03:00+01"]),
        # Both times are left out and fall on the same jump, where a third one is: one run.
        ("0,30 2,3 * * *", "2026-03-29", "2026-03-30", ["29 03:00+02", "29 03:30+02"]),
        (
            "*/30 2 * * *", "2026-10-25", "2026-10-26",
            ["25 02:00+02", "25 02:30+02"],
        ),
        # Every hour is real time.
        ("30 * * * *", "2026-03-29T01:00", "2026-03-29T04:00", ["29 01:30+01", "29 03:30+02"]),
        (
            "*/30 * * * *", "2026-03-29T01:00", "2026-03-29T03:30",
            ["29 01:00+01", "29 01:30+01", "29 03:00+02", "29 03:30+02"],
        ),
        (
            "*/30 * * * *", "2026-10-25T01:30", "2026-10-25T03:00",
            ["25 01:30+02", "25 02:00+02", "25 02:30+02", "25 02:00+01", "25 02:30+01", "25 03:00+01"],
        ),
        (
            "0 0-23 * * *", "2026-10-25T01:00", "2026-10-25T03:00",
            ["25 01:00+02", "25 02:00+02", "25 02:00+01", "25 03:00+01"],
        ),
    ],
)  # fmt: skip
def test_where_clocks_change_a_named_time_runs_once_and_every_hour_is_real_time(
    expression: str, first: str, last: str, ticks: list[str]
) -> None:
    assert on_clock(expression, first, last) == ticks


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("minutes", [0, 15, 90, 120, 150, 165, 185])
def test_a_daily_job_runs_on_each_of_the_days_of_a_year_exactly_once(
    zone: str, minutes: int
) -> None:
    expression = f"{minutes % 60} {minutes // 60} * * *"

    days = [tick[:2] for tick in on_clock(expression, "2026-01-01", "2026-12-31T23:59", zone)]

    assert len(days) == 365
    assert all(a != b for a, b in pairwise(days))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_an_expression_for_every_minute_misses_and_doubles_none_in_a_year(zone: str) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    ticks = list(ticks_between(Cron("*/10 * * * *", zone), start, start + timedelta(days=60)))

    steps = {b - a for a, b in pairwise(ticks)}
    assert steps == {timedelta(minutes=10)}


@settings(max_examples=200, deadline=None)
@given(
    seconds=st.floats(0, 3 * 86_400),
    shift=st.sampled_from([timedelta(0), timedelta(days=210)]),
    expression=st.sampled_from(
        ["30 2 * * *", "*/20 * * * *", "15 1-3 * * *", "0 */2 * * *", "* * * * * */20"]
    ),
)
def test_the_next_tick_is_later_and_no_tick_lies_between(
    seconds: float, shift: timedelta, expression: str
) -> None:
    schedule = Cron(expression, "Europe/Berlin")
    moment = datetime(2026, 3, 28, tzinfo=UTC) + shift + timedelta(seconds=seconds)

    tick = schedule.next_after(moment)

    assert tick is not None
    assert tick > moment
    # The same answer from every moment before it: workers that start at any time agree.
    middle = moment + (tick - moment) / 2
    assert schedule.next_after(middle) == tick


def test_intervals_are_counted_from_the_epoch_so_a_restart_does_not_shift_them() -> None:
    schedule = Every(timedelta(seconds=45))
    midnight = datetime(2026, 1, 1, tzinfo=UTC)

    first = schedule.next_after(midnight + timedelta(seconds=1))
    later = schedule.next_after(midnight + timedelta(seconds=44, milliseconds=999))

    assert first == later == midnight + timedelta(seconds=45)
    assert schedule.next_after(midnight + timedelta(seconds=45)) == midnight + timedelta(seconds=90)


def test_the_newest_ticks_of_a_long_gap_are_found_without_walking_it() -> None:
    now = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)

    ticks = newest_ticks(Every(timedelta(seconds=1)), now - timedelta(days=3650), now, 2)
    yearly = newest_ticks(Cron("0 0 1 1 *"), now - timedelta(days=3650), now, 3)

    assert ticks == [now - timedelta(seconds=1), now]
    assert [tick.year for tick in yearly] == [2024, 2025, 2026]


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("0 2 * *", "UTC", "must be like"),
        ("61 * * * *", "UTC", "must be like"),
        ("", "UTC", "must be like"),
        ("R 2 * * *", "UTC", "without R and H"),
        ("0 0 30 2 *", "UTC", "a day that exists"),
        ("0 2 * * *", "Europe/Nowhere", "time zone"),
        ("0 2 * * *", "../../etc/passwd", "time zone"),
        ("0 2 * * *", "", "time zone"),
    ],
)
def test_what_is_no_schedule_is_refused_where_it_is_written(
    expression: str, zone: str, message: str
) -> None:
    with pytest.raises(BadSchedule, match=message):
        Cron(expression, zone)


def test_names_of_days_and_months_may_hold_an_r_or_an_h() -> None:
    ticks = list(
        ticks_between(
            Cron("0 9 * mar fri"),
            datetime(2026, 3, 1, tzinfo=UTC),
            datetime(2026, 3, 14, tzinfo=UTC),
        )
    )

    assert [tick.day for tick in ticks] == [6, 13]


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5, -3])
def test_an_interval_is_one_or_more_whole_seconds(seconds: float) -> None:
    with pytest.raises(BadSchedule, match="whole seconds"):
        Every(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "schedule", [Every(timedelta(minutes=5)), Cron("0 2 * * *", "Europe/Berlin"), Cron("@daily")]
)
def test_a_schedule_is_the_same_after_its_text_was_stored(schedule: Every | Cron) -> None:
    assert parse(schedule.text, schedule.zone) == schedule
