"""A person's texts go from the queue's tables, and nobody else's."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.queue.erasing import Place, Traces, erase_attempts, erase_jobs, pattern

MEI = Traces(sure=("mei@example.com",), also=("Mei Chen",), about={"account_id": 7})


@pytest.fixture
def told(hub: Hub) -> Hub:
    """A hub whose tasks tell what they were given."""

    @hub.task(name="greet", lock="{email}")
    def greet(email: str, name: str = "") -> str:
        if name == "fail":
            raise ValueError(f"no mailbox {email} for Mei Chen")
        return f"Hello {name} <{email}>"

    @hub.task(name="count")
    def count(account_id: int, note: str) -> str:
        return note

    return hub


def erase(hub: Hub, traces: Traces = MEI, *, limit: int = 2) -> int:
    erased = 0
    for step in (erase_jobs, erase_attempts):
        place: Place | None = Place()
        while place is not None:
            with hub.engine.begin() as connection:
                place, some = step(connection, "taskhub", traces, place, limit=limit)
            erased += some
    return erased


def dump(hub: Hub) -> str:
    """Everything that the two tables hold, as text."""
    with hub.engine.connect() as connection:
        rows = [
            *connection.execute(text("SELECT to_jsonb(j) FROM taskhub.procrastinate_jobs AS j")),
            *connection.execute(text("SELECT to_jsonb(a) FROM taskhub.attempts AS a")),
        ]
    return json.dumps([row[0] for row in rows], ensure_ascii=False)


def arguments(hub: Hub) -> list[dict[str, Any]]:
    with hub.engine.connect() as connection:
        query = "SELECT args FROM taskhub.attempts ORDER BY job_id, claim"
        return list(connection.scalars(text(query)))


def test_an_address_goes_from_arguments_results_errors_and_keys(told: Hub) -> None:
    told.tasks["greet"].defer("mei@example.com", "Mei Chen")
    told.tasks["greet"].defer("MEI@example.com", "fail")
    told.run_worker(wait=False)
    told.tasks["greet"].defer("mei@example.com", "waits")
    before = dump(told)
    assert before.lower().count("mei@example.com") > 6

    assert erase(told) > 2

    after = dump(told)
    waiting = '"lock": "mei@example.com"'  # a key that keeps others out, until its job has run
    assert after.lower().replace(waiting, "").count("mei@example.com") == 0
    assert "no mailbox [erased] for [erased]" in after
    assert "Mei Chen" not in after


def test_a_second_time_nothing_is_found(told: Hub) -> None:
    told.tasks["greet"].defer("mei@example.com")
    told.run_worker(wait=False)

    assert erase(told) == 1
    assert erase(told) == 0


def test_others_whose_address_contains_it_keep_theirs(told: Hub) -> None:
    others = ["xmei@example.com", "mei@example.com.cn", "a.mei@example.com", "mei+x@example.com"]
    for other in others:
        told.tasks["greet"].defer(other)
    told.run_worker(wait=False)

    assert erase(told) == 0

    assert [given["email"] for given in arguments(told)] == others


def test_an_address_at_the_end_of_a_sentence_is_found(told: Hub) -> None:
    told.tasks["count"].defer(1, "write to <mei@example.com>. Or mailto:mei%40example.com, soon.")
    told.run_worker(wait=False)

    erase(told)

    [given] = arguments(told)
    assert given["note"] == "write to <[erased]>. Or mailto:[erased], soon."


def test_a_name_goes_only_from_what_is_about_the_person(told: Hub) -> None:
    told.tasks["count"].defer(7, "Mei Chen has 3 documents")
    told.tasks["count"].defer(8, "Mei Chen has 4 documents")
    told.run_worker(wait=False)

    erase(told)

    assert [given["note"] for given in arguments(told)] == [
        "[erased] has 3 documents",
        "Mei Chen has 4 documents",
    ]


def test_what_a_waiting_job_is_named_for_is_left_for_it_to_run(told: Hub) -> None:
    told.tasks["count"].defer(7, "Mei Chen")

    erase(told)

    with told.engine.connect() as connection:
        left = connection.scalar(text("SELECT args FROM taskhub.procrastinate_jobs"))
    assert left == {"account_id": 7, "note": "Mei Chen"}


@pytest.mark.parametrize("name", ['O"Neil \\ (x) [a-z]* $1 ^', "陈美", "a|b"])
def test_any_name_is_taken_literally(told: Hub, name: str) -> None:
    told.tasks["count"].defer(7, f"<{name}> and ab")
    told.run_worker(wait=False)

    erase(told, Traces(sure=("mei@example.com",), also=(name,), about={"account_id": 7}))

    assert [given["note"] for given in arguments(told)] == ["<[erased]> and ab"]


def test_nothing_to_look_for_finds_nothing(told: Hub) -> None:
    told.tasks["count"].defer(7, "a")
    told.run_worker(wait=False)

    assert pattern([""]) == pattern([])
    assert erase(told, Traces(sure=("",))) == 0
