"""A worker, Postgres or the wish goes away while annotations are imported, indexed and removed."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskhub.kb.ways_in import annotations as ways_in
from taskhub.queue import Job
from tests.faults.cluster import Mould
from tests.faults.house import House, house
from tests.kb.makers import make_app

FAULTS = ("kill", "restart", "cancel")
# Two batches of the import, and many of the index.
ROWS = 700
LAST = f"Question number {ROWS - 1}?"
MIDDLE = hashlib.sha256(f"Question number {ROWS // 2}?".encode()).hexdigest()
CSV = "\n".join(
    ["question,answer", *(f"Question number {n}?,Answer {n}" for n in range(ROWS)), "alone"]
).encode()
VECTORS = "taskhub_kb.annotation_vectors"
SHOWN = f"""
    SELECT a.question, a.answer, a.sha256, a.enabled, a.index_error, v.model, v.sha256 AS made_of,
        md5(v.vector) AS vector
    FROM taskhub_kb.annotations AS a
    LEFT JOIN {VECTORS} AS v ON v.annotation_id = a.id
    WHERE a.app_id = %s
    ORDER BY a.question, a.id, v.model
"""
Begin = Callable[[], Job[Any]]


@pytest.fixture(scope="module")
def home(mould: Mould) -> Iterator[House]:
    with house(mould, embedder="hash") as made:
        yield made


@pytest.fixture(scope="module")
def clean_rows(home: House) -> list[dict[str, Any]]:
    """What an import into an app that answers by annotations makes without a fault."""
    home.has_a_worker()
    app_id = app_of(home, answers=True)
    home.ends(imported(home, app_id)())
    rows = home.cluster.rows(SHOWN, app_id)
    assert len(rows) == ROWS
    assert all(row["vector"] for row in rows)
    return rows


def app_of(home: House, *, answers: bool = False, filled: bool = False) -> int:
    """An app of a tenant of its own, at rest."""
    home.has_a_worker()
    with home.hub.transaction() as session:
        app_id = make_app(session).id
    if answers:
        home.ends(enabled(home, app_id)())
    if filled:
        home.ends(imported(home, app_id)())
    return app_id


def imported(home: House, app_id: int) -> Begin:
    def begin() -> Job[Any]:
        made = ways_in.import_annotations(home.hub, app_id, "faq.csv", CSV)
        return Job(made.job_id, "batch_import_annotations", home.hub)

    return begin


def enabled(home: House, app_id: int) -> Begin:
    def begin() -> Job[Any]:
        return Job(ways_in.enable_reply(home.hub, app_id), "enable_annotation_reply", home.hub)

    return begin


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "at",
    [
        pytest.param(
            ("taskhub_kb.annotations", "INSERT", f"NEW.question = '{LAST}'"), id="last rows"
        ),
        pytest.param((VECTORS, "INSERT", f"NEW.sha256 = '{MIDDLE}'"), id="half of the vectors"),
        pytest.param(
            ("taskhub_kb.annotation_imports", "UPDATE", "NEW.finished_at IS NOT NULL"),
            id="finishing",
        ),
    ],
)
def test_an_interrupted_import_makes_each_row_one_annotation_with_its_vector(
    home: House, clean_rows: list[dict[str, Any]], at: tuple[str, str, str], fault: str
) -> None:
    app_id = app_of(home, answers=True)

    home.interrupt(fault, imported(home, app_id), at)

    assert home.cluster.rows(SHOWN, app_id) == clean_rows
    rows = home.cluster.rows(
        "SELECT r.error IS NOT NULL AS bad, r.done_at IS NOT NULL AS done, count(*) AS many"
        " FROM taskhub_kb.annotation_import_rows AS r"
        " JOIN taskhub_kb.annotation_imports AS i ON i.id = r.import_id"
        " WHERE i.app_id = %s AND i.finished_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
        app_id,
    )
    assert rows == [
        {"bad": False, "done": True, "many": ROWS},
        {"bad": True, "done": False, "many": 1},
    ]
    home.has_no_orphans()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "at",
    [
        pytest.param((VECTORS, "INSERT", f"NEW.sha256 = '{MIDDLE}'"), id="half of the vectors"),
        pytest.param(
            ("taskhub_kb.annotation_settings", "INSERT OR UPDATE", "NEW.enabled"), id="switching"
        ),
    ],
)
def test_an_app_answers_by_all_its_annotations_when_switching_on_was_interrupted(
    home: House, clean_rows: list[dict[str, Any]], at: tuple[str, str, str], fault: str
) -> None:
    app_id = app_of(home, filled=True)

    home.interrupt(fault, enabled(home, app_id), at)

    assert home.cluster.rows(SHOWN, app_id) == clean_rows
    setting = "SELECT enabled FROM taskhub_kb.annotation_settings WHERE app_id = %s"
    assert home.cluster.one(setting, app_id) is True
    home.has_no_orphans()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_to_go_is_gone_and_nothing_else_when_the_removal_was_interrupted(
    home: House, clean_rows: list[dict[str, Any]], fault: str
) -> None:
    app_id = app_of(home, answers=True, filled=True)
    query = "SELECT id FROM taskhub_kb.annotations WHERE app_id = %s AND question <> %s"
    ids = [row["id"] for row in home.cluster.rows(query, app_id, LAST)]

    def begin() -> Job[Any]:
        [job_id] = ways_in.delete_annotations(home.hub, app_id, ids).job_ids
        return Job(job_id, "delete_annotation_index", home.hub)

    home.interrupt(fault, begin, ("taskhub_kb.annotations", "DELETE", f"OLD.id = {max(ids)}"))

    kept = [row for row in clean_rows if row["question"] == LAST]
    assert home.cluster.rows(SHOWN, app_id) == kept
    home.has_no_orphans()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_new_question_has_the_one_vector_it_should_when_its_job_was_interrupted(
    home: House, fault: str
) -> None:
    app_id = app_of(home, answers=True)
    written = ways_in.add_annotation(home.hub, app_id, "Where is the key?", "There.")
    assert written.job_id is not None
    home.ends(Job(written.job_id, "add_annotation_index", home.hub))

    def begin() -> Job[Any]:
        job_id = ways_in.edit_annotation(
            home.hub, written.annotation_id, question="Where was the key?"
        ).job_id
        assert job_id is not None
        return Job(job_id, "update_annotation_index", home.hub)

    home.interrupt(fault, begin, (VECTORS, "INSERT OR UPDATE", "true"))

    [row] = home.cluster.rows(SHOWN, app_id)
    assert row["made_of"] == row["sha256"]
    assert row["sha256"] == hashlib.sha256(b"Where was the key?").hexdigest()
