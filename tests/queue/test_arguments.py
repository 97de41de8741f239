"""Arguments are bound, coerced and checked at the caller's line, before any SQL."""

import enum
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from taskhub import Context, Hub
from taskhub.queue import BadArgument
from taskhub.queue.arguments import Parameters
from taskhub.queue.values import decode, encode


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Size:
    width: int
    height: int = 1


class Order(BaseModel):
    number: int
    placed: datetime


AccountId = NewType("AccountId", int)
KEY = UUID("8a5c2b0e-1111-4222-8333-944455556666")
NOON = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("value", "wanted", "stored"),
    [
        (KEY, UUID, str(KEY)),
        (str(KEY), UUID, str(KEY)),
        (NOON, datetime, "2026-11-23T12:00:00+08:00"),
        (date(2026, 1, 2), date, "2026-01-02"),
        (timedelta(minutes=2), timedelta, 120.0),
        (Decimal("1.10"), Decimal, "1.10"),
        (Path("a/b"), Path, "a/b"),
        (Colour.RED, Colour, "red"),
        ("red", Colour, "red"),
        (Size(2, 3), Size, {"width": 2, "height": 3}),
        ({"width": 2}, Size, {"width": 2, "height": 1}),
        (Order(number=1, placed=NOON), Order, {"number": 1, "placed": "2026-11-23T12:00:00+08:00"}),
        ([KEY], list[UUID], [str(KEY)]),
        ((1, "a"), tuple[int, str], [1, "a"]),
        ({3}, set[int], [3]),
        ({1: NOON}, dict[int, datetime], {"1": "2026-11-23T12:00:00+08:00"}),
        (None, int | None, None),
        ("7", int | str, "7"),
        ("7", int, 7),
        (7, float, 7.0),
        (7, AccountId, 7),
        ("a", Literal["a", "b"], "a"),
        ({"x": [1, {"y": None}]}, Any, {"x": [1, {"y": None}]}),
    ],
)
def test_a_value_is_coerced_by_its_annotation_and_comes_back(
    value: Any, wanted: Any, stored: Any
) -> None:
    written = encode(value, wanted, "it")

    assert written == stored
    assert encode(decode(written, wanted, "it"), wanted, "it") == stored


@pytest.mark.parametrize(
    ("value", "wanted", "message"),
    [
        ("x", int, "it must be int, got 'x'"),
        (True, int, "it must be int, got True"),
        (1.5, int, "it must be int, got 1.5"),
        (1, str, "it must be str, got 1"),
        ("x", UUID, "it must be UUID, got 'x'"),
        ("green", Colour, "it must be Colour, got 'green'"),
        ({"depth": 1}, Size, "it must be Size, got dict with unknown"),
        ([1, "x"], list[int], r"it\[1\] must be int"),
        ({"number": "x", "placed": NOON}, Order, r"it.number must be Order"),
        (b"x", Any, "pass an id"),
        (KEY, Any, "annotate the parameter"),
        (None, int, "it must be int, got None"),
        ("c", Literal["a", "b"], "it must be Literal"),
        ("abc", list[str], "it must be list, got 'abc'"),
        ((1,), tuple[int, int], "it must have 2 items, got 1"),
        (10**400, float, "it must be float"),
        ({1: "a", "1": "b"}, dict[int | str, str], "keys that differ as text, got '1' twice"),
        ({True: 1}, dict[bool, int], "it key must be bool"),
        ({(1, 2): 1}, dict[tuple[int, int], int], "it key must be tuple"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(
    value: Any, wanted: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        encode(value, wanted, "it")


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def loop() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda task: task.defer(what=1, colour="x"), TypeError, "colour must be int, got 'x'"),
        (lambda task: task.defer(1, 2, 3), TypeError, "too many positional arguments"),
        (lambda task: task.defer(), TypeError, "missing a required argument: 'what'"),
        (lambda task: task.defer(math.nan), BadArgument, "what must be a finite number, got nan"),
        (
            lambda task: task.defer({"a": [math.inf]}),
            BadArgument,
            r"what.a\[0\] must be a finite number",
        ),
        (lambda task: task.defer("a\0b"), BadArgument, "what must have no NUL"),
        (lambda task: task.defer({"a\0": 1}), BadArgument, "key of what must have no NUL"),
        (
            lambda task: task.defer(1, **{"a\0": 1}),
            BadArgument,
            "name of an argument must have no NUL",
        ),
        (lambda task: task.defer({"\udc80": 1}), BadArgument, "key of what must be valid text"),
        (lambda task: task.defer([-(2**63) - 1]), BadArgument, r"what\[0\] must fit 64 bits"),
        (lambda task: task.defer(-math.inf), BadArgument, "must be a finite number, got -inf"),
        (
            lambda task: task.defer("\ud800"),
            BadArgument,
            "what must be valid text, got a lone surrogate",
        ),
        (lambda task: task.defer(b"abc"), TypeError, "what must be JSON"),
        (lambda task: task.defer(10**5000), BadArgument, "what must fit 64 bits"),
        (lambda task: task.defer(2**63), BadArgument, "what must fit 64 bits"),
        (lambda task: task.defer(nested(70)), BadArgument, "at most 64 levels deep"),
        (lambda task: task.defer(nested(100_000)), BadArgument, "at most 64 levels deep"),
        (lambda task: task.defer(loop()), BadArgument, "at most 64 levels deep"),
        (
            lambda task: task.defer("x" * 2_000_000),
            BadArgument,
            "at most 65536 bytes of JSON, got 2000012",
        ),
        (
            lambda task: task.options(queue="q" * 41).defer(1),
            BadArgument,
            "queue must be at most 40 bytes",
        ),
        (
            lambda task: task.options(queue="").defer(1),
            BadArgument,
            "queue must be text that is not empty",
        ),
        (
            lambda task: task.options(lock="l" * 9000).defer(1),
            BadArgument,
            "lock must be at most 1024",
        ),
        (lambda task: task.options(lock="a\0").defer(1), BadArgument, "lock must have no NUL"),
        (
            lambda task: task.options(priority=2**31).defer(1),
            BadArgument,
            "priority must be a whole number",
        ),
        (
            lambda task: task.options(priority=True).defer(1),
            BadArgument,
            "priority must be a whole number",
        ),
        (
            lambda task: task.options(queue="列" * 14).defer(1),
            BadArgument,
            "queue must be at most 40 bytes, got 42",
        ),
        (
            lambda task: task.options(queueing_lock="{what}").defer("列" * 342),
            BadArgument,
            "queueing_lock must be at most 1024 bytes, got 1026",
        ),
        (lambda task: task.options(lock="{what}").defer(""), BadArgument, "lock must be text"),
        (
            lambda task: task.options(at=datetime.max.replace(tzinfo=UTC)).defer(1),
            BadArgument,
            "at must be of a year from 2 to 9998",
        ),
        (lambda task: task.options(at="2031-01-01").defer(1), TypeError, "at must be a datetime"),
        (lambda task: task.options(delay="5").defer(1), TypeError, "delay must be seconds"),
        (lambda task: task.options(delay=1, at=NOON).defer(1), TypeError, "delay or at"),
        (
            lambda task: task.options(delay=math.nan).defer(1),
            ValueError,
            "delay must be 0 seconds or more",
        ),
        (lambda task: task.options(at=datetime(2026, 1, 1)).defer(1), ValueError, "time zone"),  # noqa: DTZ001 - the mistake under test
    ],
)
def test_bad_input_raises_at_the_call_and_leaves_the_transaction_usable(
    hub: Hub, call: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    @hub.task
    def task(what: Any, more: Any = None, **rest: int) -> None: ...

    with hub.transaction() as session:
        session.execute(text("CREATE TABLE domain (id int)"))
        with pytest.raises(error, match=message):
            call(task)
        session.execute(text("INSERT INTO domain VALUES (1)"))

    with hub.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM domain")) == 1
        assert connection.scalar(text("SELECT count(*) FROM taskhub.procrastinate_jobs")) == 0


def test_a_wrong_name_is_refused_at_the_call(hub: Hub) -> None:
    @hub.task
    def task(what: int) -> None: ...

    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        task.defer(what=1, colour=2)  # type: ignore[call-arg]  # the mistake under test


@pytest.mark.parametrize("template", ["{ctx}", "{rest}"])
def test_a_lock_template_can_name_only_what_has_one_value(hub: Hub, template: str) -> None:
    with pytest.raises(ValueError, match="it has n"):

        @hub.task(lock=template)
        def task(ctx: Context, n: int, **rest: int) -> None: ...


def test_an_option_is_checked_as_a_declaration_is(hub: Hub) -> None:
    @hub.task
    def task(n: int) -> None: ...

    with pytest.raises(ValueError, match="lock names 'm', which is no parameter"):
        task.options(lock="{m}")


def test_a_lock_template_that_names_no_parameter_is_refused_at_the_declaration(hub: Hub) -> None:
    with pytest.raises(
        ValueError, match="lock names 'document', which is no parameter of the task"
    ):

        @hub.task(lock="document:{document}")
        def index(document_id: int) -> None: ...


def test_star_args_are_refused_at_the_declaration(hub: Hub) -> None:
    with pytest.raises(TypeError, match="take a list instead"):

        @hub.task
        def index(*ids: int) -> None: ...


def test_a_taken_name_is_refused(hub: Hub) -> None:
    @hub.task(name="index")
    def first() -> None: ...

    with pytest.raises(ValueError, match="'index' is taken"):

        @hub.task(name="index")
        def second() -> None: ...


def test_the_context_is_no_argument_of_the_caller() -> None:
    def task(ctx: Context, n: int, *, m: int = 2) -> None: ...

    parameters = Parameters(task)

    assert parameters.context_name == "ctx"
    assert parameters.bind((1,), {}) == {"n": 1}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, "a"), {}),
        ((1,), {"word": "a"}),
        ((), {"n": 1, "word": "a"}),
        ((), {"word": "a", "n": 1}),
        ((1, "a"), {"flag": None, "more": [1, {"x": 1.5}]}),
        (("1", "a"), {"flag": True, "share": 2}),
    ],
)
def test_the_short_way_writes_what_the_long_way_writes(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    def task(
        n: int, word: str, *, flag: bool | None = None, share: float = 0.5, more: Any = None
    ) -> None: ...

    parameters = Parameters(task)
    text_, given = parameters.write(args, kwargs, 65_536)

    assert given == parameters.bind(args, kwargs)
    assert json.loads(text_) == given


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'n'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"n": 1}, "multiple values for argument 'n'"),
        ((1,), {"colour": 1}, "unexpected keyword argument 'colour'"),
        ((True,), {}, "n must be int, got True"),
        ((1, b"x"), {}, "word must be str, got b'x'"),
    ],
)
def test_the_short_way_hides_no_mistake(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    def task(n: int, word: str = "") -> None: ...

    with pytest.raises(TypeError, match=message):
        Parameters(task).write(args, kwargs, 65_536)


def test_a_parameter_without_a_name_is_bound_by_its_place() -> None:
    def task(n: int = 1, /, m: int = 2) -> None: ...

    assert Parameters(task).write((5,), {}, 100)[1] == {"n": 5}
    assert Parameters(task).write((5, 6), {}, 100)[1] == {"n": 5, "m": 6}


def test_extra_keywords_of_a_task_that_takes_them_are_stored_by_name() -> None:
    def task(n: int, **rest: UUID) -> None: ...

    parameters = Parameters(task)

    assert parameters.bind((1,), {"key": KEY}) == {"n": 1, "key": str(KEY)}


def test_a_route_of_the_settings_wins_over_the_declared_queue(hub: Hub) -> None:
    import dataclasses

    routed = Hub(settings=dataclasses.replace(hub.settings, routes={"mail.*": "mail"}))

    @routed.task(name="mail.reset", queue="default")
    def reset() -> None: ...

    @routed.task(name="index", queue="indexing")
    def index() -> None: ...

    assert (reset.queue, index.queue) == ("mail", "indexing")
