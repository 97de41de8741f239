"""What passes the check is stored and read back equal; what does not never reaches the database."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from taskhub import Hub
from taskhub.queue import BadArgument
from taskhub.queue.arguments import Parameters
from taskhub.queue.storable import check_size, to_json

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=8,
)


def args_of(connection: Connection, job_id: int) -> str:
    """The text of a stored job's arguments."""
    found = connection.scalar(
        text("SELECT args::text FROM taskhub.procrastinate_jobs WHERE id = :id"), {"id": job_id}
    )
    return str(found)


def is_same(one: Any, other: Any) -> bool:
    """Equal and of equal types all through: 1 is neither 1.0 nor True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return bool(one == other)


def test_what_passes_the_check_is_read_back_equal_and_the_transaction_stays_usable(
    hub: Hub,
) -> None:
    @hub.task
    def keep(value: Any) -> None: ...

    with hub.engine.connect() as connection:

        @settings(max_examples=100, deadline=None)
        @example(1e23)
        @example(5e-324)
        @example(-0.0)
        @example([1e16, 1.7976931348623157e308, -1e22])
        @example([-(2**63), 2**63 - 1])
        @example({"\x01\x7f\\": '"\b\f\n\r\t'})
        @given(ANYTHING)
        def check(value: Any) -> None:
            try:
                job = keep.options(session=connection).defer(value)
            except BadArgument:
                assert connection.scalar(text("SELECT 1")) == 1
                return
            found = args_of(connection, job.id)
            assert is_same(json.loads(found), {"value": value})
            # What was counted is what the table counts; only the sign of -0.0 gets lost.
            assert len(found.encode()) <= len(keep.new_job((value,), {}).args.encode())

        check()


def everything(
    *,
    number: int,
    share: float,
    words: str,
    key: UUID,
    moment: datetime,
    day: date,
    hour: time,
    span: timedelta,
    price: Decimal,
    maybe: int | None,
    pairs: dict[int, list[tuple[str, bool]]],
    kinds: set[str],
) -> None: ...


def test_typed_arguments_are_read_back_equal(hub: Hub) -> None:
    task = hub.task(everything)
    hints = {n: hint for n, hint in get_type_hints(everything).items() if n != "return"}
    given_arguments = st.fixed_dictionaries({n: st.from_type(hint) for n, hint in hints.items()})

    with hub.engine.connect() as connection:

        @settings(max_examples=40, deadline=None)
        @given(given_arguments)
        def check(arguments: dict[str, Any]) -> None:
            try:
                job = task.options(session=connection).defer(**arguments)
            except (BadArgument, TypeError):
                assert connection.scalar(text("SELECT 1")) == 1
                return
            stored = json.loads(args_of(connection, job.id))
            read = Parameters(everything).call_with(stored, {}).arguments
            # A signalling NaN and the like are kept, and are equal to nothing.
            assert str(read.pop("price")) == str(arguments.pop("price"))
            assert is_same(read, arguments)

        check()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.0, "1.0"),
        (1e16, "10000000000000000.0"),
        (1e-7, "0.0000001"),
        (-1.5e20, "-150000000000000000000.0"),
        (True, "true"),
        ([], "[]"),
        ({"a": None, "b": [1, 2]}, '{"a": null, "b": [1, 2]}'),
    ],
)
def test_json_is_written_as_postgres_gives_it_back(value: Any, written: str) -> None:
    assert to_json({"it": value}, 1_000) == f'{{"it": {written}}}'


def test_a_number_of_many_digits_counts_with_all_of_them() -> None:
    with pytest.raises(BadArgument, match="at most 65536 bytes of JSON, got 3"):
        to_json({"tiny": [1e-300] * 1_000}, 65_536)


def test_size_is_counted_in_bytes() -> None:
    assert check_size("数" * 10, 30) == "数" * 10
    with pytest.raises(BadArgument, match="at most 29 bytes of JSON, got 30"):
        check_size("数" * 10, 29)


def test_no_setting_raises_the_limit_above_that_of_the_table() -> None:
    with pytest.raises(BadArgument) as refused:
        to_json({"a": "x" * 2**20}, 2**30)

    assert "at most 1048576 bytes" in str(refused.value)
    assert "TASKHUB_MAX_ARGS_BYTES" not in str(refused.value)


def test_what_is_no_json_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="got set"):
        to_json({"a": [{1}]}, 1_000)


def test_the_widest_that_is_allowed_is_allowed(hub: Hub) -> None:
    @hub.task(name="t" * 128)
    def keep(value: Any) -> None: ...

    deep: Any = math.pi
    for _ in range(63):
        deep = [deep]
    widest = keep.options(
        queue="q" * 40,
        lock="l" * 1024,
        queueing_lock="k" * 1024,
        priority=-(2**31),
        at=datetime(9998, 12, 31, 23, 59, tzinfo=UTC),
    )

    job = widest.defer(deep)

    with hub.engine.connect() as connection:
        assert json.loads(args_of(connection, job.id)) == {"value": deep}
