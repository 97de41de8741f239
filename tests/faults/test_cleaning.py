"""A worker, Postgres or the wish for a clean-up goes away at each of its batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from taskhub.accounts import members, people
from taskhub.kb.annotations import imports, index
from taskhub.kb.annotations.read_csv import read_csv
from taskhub.kb.apps import create as apps
from taskhub.kb.tasks.removal import CLEAN_ROWS
from taskhub.kb.ways_in.apps import delete_app
from taskhub.kb.ways_in.changes import delete_documents
from taskhub.kb.ways_in.datasets import delete_dataset
from taskhub.mail.deletion import ERASE_ROWS
from taskhub.mail.post import post
from taskhub.queue import Job
from tests.faults.cluster import Mould
from tests.faults.house import House, house
from tests.kb.makers import make_app, make_dataset, make_indexed
from tests.waiting import until

FAULTS = ("kill", "restart", "cancel")
# Two batches of each kind of rows.
MANY = CLEAN_ROWS + 200
EMAIL = "mei@example.com"

# Each of them has a tenant of its own, which stays.
OF_MAKING = ("tenants",)

Begin = Callable[[], Job[Any]]
Statement = tuple[str, str, str]
# Where each clean-up is held: a table and what happens to which of its rows.
DATASET = {
    "hiding": ("taskhub_kb.documents", "UPDATE", "NEW.id = {document}"),
    "first vectors": ("taskhub_kb.vectors_512", "DELETE", "true"),
    "last vectors": ("taskhub_kb.vectors_512", "DELETE", "OLD.segment_id = {segment}"),
    "last segments": ("taskhub_kb.segments", "DELETE", "OLD.id = {segment}"),
    "files": ("taskhub_kb.document_parts", "DELETE", "OLD.document_id = {document}"),
    "documents": ("taskhub_kb.documents", "DELETE", "OLD.id = {document}"),
    "itself": ("taskhub_kb.datasets", "DELETE", "OLD.id = {dataset}"),
}
# They are hidden by whoever deletes them, before the job.
DOCUMENTS = {point: DATASET[point] for point in ("last vectors", "last segments", "documents")}
APP = {
    "vectors": ("taskhub_kb.annotation_vectors", "DELETE", "OLD.annotation_id = {annotation}"),
    "rows of imports": ("taskhub_kb.annotation_import_rows", "DELETE", f"OLD.line = {MANY}"),
    "annotations": ("taskhub_kb.annotations", "DELETE", "OLD.id = {annotation}"),
    "messages": ("taskhub_kb.messages", "DELETE", "OLD.id = {message}"),
    "itself": ("taskhub_kb.apps", "DELETE", "OLD.id = {app}"),
}
ACCOUNT = {
    "first jobs": ("taskhub.procrastinate_jobs", "UPDATE", "OLD.id = {first_job}"),
    "last jobs": ("taskhub.procrastinate_jobs", "UPDATE", "OLD.id = {last_job}"),
    "history": ("taskhub.attempts", "UPDATE", f"OLD.error_message LIKE '%{EMAIL}%'"),
    "mails": ("taskhub_kb.mail_outbox", "DELETE", f"OLD.recipient = '{EMAIL}'"),
    "mentions": ("taskhub_kb.mail_outbox", "UPDATE", f"OLD.subject LIKE '%{EMAIL}%'"),
    "itself": ("taskhub_kb.accounts", "DELETE", "OLD.id = {account}"),
}


@dataclass(frozen=True)
class Doomed:
    """What is to go, and the numbers of some of its rows; of `stays` one row more is there afterwards."""

    begin: Begin
    numbers: dict[str, int]
    stays: str | None = None


@pytest.fixture(scope="module")
def postbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mails go to."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="module")
def home(mould: Mould, postbox: Path) -> Iterator[House]:
    """A house with a dataset, an app and a person that all are to stay."""
    with house(mould, mail_sender="directory", mail_directory=str(postbox)) as made:
        with made.hub.transaction() as session:
            dataset = make_dataset(session)
            make_indexed(session, dataset, "Otters swim.", "Otters sleep.")
            app = make_app(session, annotations=3, messages=3)
            apps.join(session, app.id, [dataset.id])
            ben = people.create(session, "ben@example.com", "Ben")
            members.add(session, dataset.tenant_id, ben.id, "owner")
        yield made


def dataset(home: House, documents: int = 2) -> Doomed:
    with home.hub.transaction() as session:
        made = make_dataset(session)
        ids = [
            make_indexed(session, made, *(f"Badger {d}, {n}" for n in range(MANY // documents))).id
            for d in range(documents)
        ]
        numbers = {"dataset": made.id, "document": ids[-1]}
    last = "SELECT max(id) FROM taskhub_kb.segments WHERE document_id = %s"
    numbers["segment"] = home.cluster.one(last, ids[-1])

    def begin() -> Job[Any]:
        job_id = delete_dataset(home.hub, numbers["dataset"])
        assert job_id is not None
        return Job(job_id, "clean_dataset", home.hub)

    return Doomed(begin, numbers)


def documents(home: House) -> Doomed:
    # More than are looked at once.
    doomed = dataset(home, documents=120)
    query = "SELECT id FROM taskhub_kb.documents WHERE dataset_id = %s"
    ids = [row["id"] for row in home.cluster.rows(query, doomed.numbers["dataset"])]

    def begin() -> Job[Any]:
        [job_id] = {changed.job_id for changed in delete_documents(home.hub, ids)}
        assert job_id is not None
        return Job(job_id, "batch_clean_document", home.hub)

    return Doomed(begin, doomed.numbers, stays="datasets")


def app(home: House) -> Doomed:
    with home.hub.transaction() as session:
        app_id = make_app(session, annotations=2, messages=2).id
        table = read_csv(
            b"question,answer\n" + b"".join(b"What %d?,%d\n" % (n, n) for n in range(MANY)),
            max_rows=MANY,
            max_bytes=100 * MANY,
        )
        made = imports.store(session, app_id, "faq.csv", table)
        imports.import_batch(session, made.id, MANY)
        index.index_batch(session, app_id, "hash", limit=2 * MANY)
    home.cluster.run(
        "INSERT INTO taskhub_kb.messages (app_id, conversation_id, question, answer)"
        " SELECT app_id, conversation_id, 'What?', 'That.' FROM taskhub_kb.messages AS m,"
        " generate_series(1, %s) WHERE m.app_id = %s",
        MANY // 2, app_id,
    )  # fmt: skip
    numbers = {"app": app_id}
    for table_name in ("annotation", "message"):
        last = f"SELECT max(id) FROM taskhub_kb.{table_name}s WHERE app_id = %s"
        numbers[table_name] = home.cluster.one(last, app_id)

    def begin() -> Job[Any]:
        job_id = delete_app(home.hub, app_id)
        assert job_id is not None
        return Job(job_id, "clean_app", home.hub)

    return Doomed(begin, numbers)


def account(home: House) -> Doomed:
    with home.hub.transaction() as session:
        mei = people.create(session, EMAIL, "Mei")
        for recipient in (EMAIL, "ben@example.com"):
            mail = post(
                session, home.hub.settings, "custom", recipient,
                subject=f"News of {EMAIL}", paragraphs=["one"],
            )  # fmt: skip
        numbers = {"account": mei.id}
        last_mail = mail.id
    sent = f"SELECT subject FROM taskhub_kb.mail_outbox WHERE id = {last_mail} AND state = 'sent'"
    home.has_a_worker()
    until(lambda: home.cluster.one(sent), "the mails", seconds=60)
    # Nobody serves this queue, and each of its jobs names the person.
    [ids] = home.cluster.rows(
        "WITH made AS (INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args)"
        " SELECT 'nobody', 'export', jsonb_build_object('email', %s::text)"
        " FROM generate_series(1, %s) RETURNING id)"
        " SELECT min(id) AS first, max(id) AS last FROM made",
        EMAIL, ERASE_ROWS + 100,
    )  # fmt: skip
    home.cluster.run(
        "INSERT INTO taskhub.attempts (job_id, claim, attempt, task_name, queue_name, outcome,"
        " error_message) VALUES (%s, 1, 1, 'export', 'nobody', 'failed', %s)",
        ids["first"], f"no room for {EMAIL}",
    )  # fmt: skip
    numbers |= {"first_job": ids["first"], "last_job": ids["last"]}

    def begin() -> Job[Any]:
        home.cluster.run(
            "UPDATE taskhub_kb.accounts SET disabled_at = now() WHERE id = %s",
            numbers["account"],
        )
        return home.hub.tasks["delete_account"].defer(numbers["account"])

    return Doomed(begin, numbers)


def interrupted(home: House, doomed: Doomed, statement: Statement, fault: str) -> None:
    table, event, condition = statement
    home.interrupt(fault, doomed.begin, (table, event, condition.format(**doomed.numbers)))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("make", "statement"),
    [
        pytest.param(make, points[point], id=f"{make.__name__}, {point}")
        for make, points in ((dataset, DATASET), (documents, DOCUMENTS), (app, APP))
        for point in points
    ],
)
def test_what_is_interrupted_goes_as_a_whole_and_takes_nothing_else_along(
    home: House, make: Callable[[House], Doomed], statement: Statement, fault: str
) -> None:
    before = home.snapshot(but=OF_MAKING)

    doomed = make(home)
    interrupted(home, doomed, statement, fault)

    after = home.snapshot(but=OF_MAKING)
    if doomed.stays is not None:
        rows = [int(snapshot.pop(doomed.stays).split()[0]) for snapshot in (before, after)]
        assert rows[1] == rows[0] + 1
        home.cluster.run("DELETE FROM taskhub_kb.datasets WHERE id = %s", doomed.numbers["dataset"])
    assert after == before
    home.has_no_orphans()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", ACCOUNT)
def test_of_a_person_whose_erasing_was_interrupted_nothing_is_left_but_one_last_mail(
    home: House, postbox: Path, point: str, fault: str
) -> None:
    before = home.snapshot(but=("mail_outbox",))
    sent = len(list(postbox.iterdir()))

    interrupted(home, account(home), ACCOUNT[point], fault)
    until(lambda: len(list(postbox.iterdir())) == sent + 3, "the last mail", seconds=60)
    left = f"SELECT count(*) FROM taskhub_kb.mail_outbox AS m WHERE m::text LIKE '%{EMAIL}%'"
    until(lambda: home.cluster.one(left) == 0, "the end of the last mail", seconds=60)

    assert home.snapshot(but=("mail_outbox",)) == before
    for table in ("procrastinate_jobs", "attempts"):
        query = f"SELECT count(*) FROM taskhub.{table} AS t WHERE t::text LIKE '%{EMAIL}%'"
        assert home.cluster.one(query) == 0, table
    erased = "SELECT count(*) FROM taskhub.procrastinate_jobs WHERE args->>'email' = '[erased]'"
    assert home.cluster.one(erased) == ERASE_ROWS + 100
    home.cluster.run("DELETE FROM taskhub.procrastinate_jobs WHERE queue_name = 'nobody'")
    home.has_no_orphans()
