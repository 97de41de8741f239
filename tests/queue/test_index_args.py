"""Arguments that jobs are searched by: kept on every way in, found exactly, gone with the job."""

import json

import pytest
from sqlalchemy import text
from tests.queue.staged import change

from taskhub import Hub, Secret
from taskhub.queue import insight, retention
from taskhub.queue.filter_text import parse
from taskhub.queue.insight import listing


@pytest.fixture
def shop(hub: Hub) -> Hub:
    @hub.task(name="send", queue="mail", index_args=["order_id", "gift"])
    async def send(order_id: int, gift: bool = False, note: str = "") -> None: ...

    return hub


def kept(hub: Hub) -> list[tuple[int, str, str]]:
    with hub.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM taskhub.job_args ORDER BY job_id, name"))
        return [tuple(row) for row in rows]


def test_every_way_in_keeps_the_arguments(shop: Hub) -> None:
    send = shop.tasks["send"]
    one = send.defer(7, note="not kept").id
    by_copy = [job.id for job in send.defer_many([{"order_id": n} for n in range(300)])]
    unique = send.options(unique="o:{order_id}").defer(8).id
    with shop.transaction() as session:
        inside = send.options(session=session).defer(9, gift=True).id
        by_sql = session.execute(
            text("""SELECT taskhub.defer_job('send', '{"order_id": "x", "gift": null}')""")
        ).scalar_one()

    rows = kept(shop)

    assert [row for row in rows if row[0] == one] == [(one, "order_id", "7")]
    assert [row[2] for row in rows if row[0] in by_copy] == [str(n) for n in range(300)]
    assert [row[2] for row in rows if row[0] == unique] == ["8"]
    assert [row[1:] for row in rows if row[0] == inside] == [("gift", "true"), ("order_id", "9")]
    assert [row[1:] for row in rows if row[0] == by_sql] == [("order_id", "x")]


def test_declared_arguments_are_found_exactly_and_others_among_the_newest(
    shop: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_SEARCHED", 2)
    send = shop.tasks["send"]
    ids = [send.defer(n % 2, note="hi").id for n in range(6)]
    shop.run_worker(wait=False)
    late = send.defer(1).id

    exact = insight.page(shop, parse("args.order_id:1"))
    paged = insight.page(shop, parse("args.order_id:1"), limit=2)
    rest = insight.page(shop, parse("args.order_id:1"), before_id=paged.before_id)
    searched = insight.page(shop, parse("args.note:hi"))

    assert [line.id for line in exact.jobs] == [late, *ids[:0:-2]]
    assert (exact.searched, exact.before_id) == (None, None)
    assert [line.id for line in paged.jobs + rest.jobs] == [late, *ids[:0:-2]]
    assert ([line.id for line in searched.jobs], searched.searched) == ([ids[-1]], 2)


def test_a_replaced_job_is_found_by_its_new_arguments(shop: Hub) -> None:
    job_id = shop.tasks["send"].defer(1).id

    change(
        shop,
        "UPDATE taskhub.procrastinate_jobs SET args = %s::jsonb WHERE id = %s",
        json.dumps({"order_id": 2}),
        job_id,
    )

    assert insight.jobs(shop, parse("args.order_id:1")) == []
    assert [line.id for line in insight.jobs(shop, parse("args.order_id:2"))] == [job_id]


def test_the_arguments_go_with_the_job_and_its_history(shop: Hub) -> None:
    gone, left = (shop.tasks["send"].defer(n).id for n in (1, 2))
    change(shop, "DELETE FROM taskhub.procrastinate_jobs WHERE id = %s", gone)

    assert retention.prune(shop, dry_run=True).searched_args == 1
    assert retention.prune(shop).searched_args == 1
    assert [row[0] for row in kept(shop)] == [left]


def test_only_arguments_that_may_be_read_are_declared(hub: Hub) -> None:
    with pytest.raises(ValueError, match="index_args must be parameters, order_id, got 'order'"):

        @hub.task(index_args=["order"])
        def send(order_id: int) -> None: ...

    with pytest.raises(ValueError, match="index_args must be no secrets, got 'token'"):

        @hub.task(index_args=["token"])
        def login(token: Secret[str]) -> None: ...
