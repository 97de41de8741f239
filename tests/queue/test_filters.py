"""Filters as people type them: read, written back, refused with the place, and what each finds."""

from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskhub import Fail, Hub
from taskhub.queue import insight
from taskhub.queue.filter_text import STATES, BadFilter, format_filter, parse
from taskhub.queue.filters import JobFilter

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
PATHS = st.from_regex(r"[A-Za-z_]\w{0,8}(\.[A-Za-z_]\w{0,8})?", fullmatch=True)
MOMENTS = st.one_of(
    st.timedeltas(timedelta(0), timedelta(days=3000)),
    st.datetimes(timezones=st.just(UTC)),
)
SIDES = {
    "queues": st.lists(TEXTS, max_size=2).map(tuple),
    "tasks": st.lists(TEXTS, max_size=2).map(tuple),
    "statuses": st.lists(st.sampled_from(STATES), max_size=2).map(tuple),
    "error": st.none() | TEXTS,
    "fingerprint": st.none() | TEXTS,
    "ids": st.lists(st.integers(0, 2**59), max_size=2).map(tuple),
    "locks": st.lists(TEXTS, max_size=2).map(tuple),
    "workers": st.lists(st.integers(0, 2**59), max_size=2).map(tuple),
    "args": st.lists(st.tuples(PATHS, TEXTS), max_size=2).map(tuple),
}
WITHOUT = st.builds(JobFilter, **SIDES).filter(lambda side: side != JobFilter())
FILTERS = st.builds(
    JobFilter,
    **SIDES,
    since=st.none() | MOMENTS,
    until=st.none() | MOMENTS,
    without=st.none() | WITHOUT,
)


@given(FILTERS)
def test_a_filter_that_is_written_is_read_as_the_same(wanted: JobFilter) -> None:
    assert parse(format_filter(wanted)) == wanted


def test_words_commas_quotes_and_minus_are_read() -> None:
    read = parse(
        'state:failed,aborted queue:mail  task:mail_* error:"no \\"route\\", at all" since:2h '
        "-queue:slow args.user.id:7 tenant:3 id:42 -error:timeout worker:12 lock:x:1"
    )

    assert read == JobFilter(
        statuses=("failed", "aborted"),
        queues=("mail",),
        tasks=("mail_*",),
        error='no "route", at all',
        since=timedelta(hours=2),
        args=(("user.id", "7"), ("tenant_id", "3")),
        ids=(42,),
        workers=(12,),
        locks=("x:1",),
        without=JobFilter(queues=("slow",), error="timeout"),
    )
    assert parse("  ") == JobFilter()


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("stat:failed", 0, "did you mean state"),
        ("queue:a nonsense", 8, "a filter must be of words like state:failed, known are state,"),
        ("queue:", 6, "queue must have a value"),
        ('queue:a error:"open', 14, "a quoted value must end with"),
        ('queue:a error:"a"b', 17, "a value must end with a space or a comma"),
        ("state:broken", 0, "state must be one of todo, doing, succeeded,"),
        ("id:x", 0, "id must be a whole number, got 'x'"),
        ("since:soon", 0, "since must be like 30m, 2h, 1d or an ISO time, got 'soon'"),
        ("since:1h since:2h", 9, "since must be said once"),
        ("-since:1h", 0, "since must be without a minus; say until"),
        ("args.:1", 0, "args must be followed by a name"),
        ("args.a:1,2", 0, "args.a must have one value, got 2"),
        ("args.a:1 args.b:1 args.c:1 args.d:1 args.e:1", 0, "args must be 4 at most, got 5"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text: str, place: int, message: str) -> None:
    with pytest.raises(BadFilter) as refused:
        parse(text)

    assert refused.value.place == place
    assert message in str(refused.value)
    assert f"at character {place + 1} of" in str(refused.value)


@pytest.fixture
def shelf(hub: Hub) -> Hub:
    """Jobs 1 to 5: two that failed, one that succeeded, two that wait."""

    @hub.task(name="mail_send", queue="mail")
    async def send(to: str, user: dict[str, int]) -> None:
        raise Fail(f"timeout of {to}")

    @hub.task(name="index", queue="slow", lock="book:{book}")
    async def index(book: int) -> None:
        if book == 2:
            raise ValueError("no such book")

    send.defer("ann", user={"id": 7})
    index.defer(book=2)
    index.defer(book=3)
    hub.run_worker(wait=False)
    send.defer("7", user={"id": 8})
    index.defer(book=7)
    return hub


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("state:failed", [2, 1]),
        ("state:todo", [5, 4]),
        ("state:doing", []),
        ("state:succeeded,failed", [3, 2, 1]),
        ("-state:todo", [3, 2, 1]),
        ("queue:mail", [4, 1]),
        ("-queue:mail", [5, 3, 2]),
        ("task:mail_*", [4, 1]),
        ("-task:mail_*", [5, 3, 2]),
        ("error:timeout", [1]),
        ("-error:timeout state:failed", [2]),
        ("-error:timeout", [5, 4, 3, 2]),
        ("lock:book:3", [3]),
        ("-lock:book:3", [5, 4, 2, 1]),
        ("id:5,2,9", [5, 2]),
        ("-id:5", [4, 3, 2, 1]),
        ("worker:1", [3, 2, 1]),
        ("-worker:1", [5, 4]),
        ("since:1h", [5, 4, 3, 2, 1]),
        ("until:1h", []),
        ("until:2000-01-01T00:00Z", []),
        ("until:9000-01-01T00:00Z since:2000-01-01T00:00Z state:failed", [2, 1]),
        ("args.book:3", [3]),
        ("args.to:7", [4]),
        ("args.to:7 args.user.id:8", [4]),
        ("args.to:7 args.user.id:7", []),
        ("args.user.id:7", [1]),
        ("-args.user.id:7 queue:mail", [4]),
    ],
)
def test_each_word_finds_its_own(shelf: Hub, text: str, found: list[int]) -> None:
    page = insight.page(shelf, parse(text), limit=10)

    assert [line.id for line in page.jobs] == found
    assert page.before_id is None
    assert [line.id for line in insight.page(shelf, parse(text), limit=2).jobs] == found[:2]
