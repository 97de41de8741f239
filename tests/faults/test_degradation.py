"""The endpoint and the mail server are away: one worker does all that needs neither, and the rest later."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from taskhub.kb.documents import state
from taskhub.kb.documents.state import Condition
from taskhub.kb.search import Mode, search
from taskhub.kb.ways_in import documents
from taskhub.kb.ways_in.changes import delete_documents
from taskhub.mail.outbox import OutboxMail
from taskhub.mail.post import post_many
from taskhub.queue import Job
from taskhub.system import alerts
from tests.faults.cluster import Mould
from tests.faults.house import House, house
from tests.kb.makers import make_dataset, make_indexed
from tests.kb.vectors.endpoint import serving
from tests.mail.server import Server
from tests.waiting import until

# As many as open a breaker, and one more that it keeps.
MANY = 6
KEYS = ("smtp", "embedding:remote")


@pytest.fixture
def ports() -> dict[str, int]:
    """Where the servers were, and will be again; nobody listens there now."""
    with serving() as endpoint:
        smtp = Server()
        smtp.start()
        found = {"smtp": smtp.settings().smtp_port, "endpoint": endpoint.port}
        smtp.stop()
    return found


@pytest.fixture
def home(mould: Mould, ports: dict[str, int]) -> Iterator[House]:
    with house(
        mould,
        embedding_url=f"http://127.0.0.1:{ports['endpoint']}/v1",
        embedding_dimensions="384",
        smtp_port=str(ports["smtp"]),
        mail_from="kb@example.com",
    ) as made:
        yield made


def add(home: House, dataset_id: int, path: Path, content: str) -> int:
    path.write_text(content)
    return documents.add_document(home.hub, dataset_id, path)


def condition(home: House, document_id: int) -> Condition:
    with home.hub.transaction() as session:
        return state.status(session, document_id).condition


def completes(home: House, document_id: int) -> None:
    until(
        lambda: condition(home, document_id) is Condition.COMPLETED,
        f"document {document_id}: completed",
        seconds=90,
    )


def found(home: House, dataset_id: int, question: str) -> list[str]:
    with home.hub.transaction() as session:
        hits = search(session, question, [dataset_id], mode=Mode.TEXT)
    return [hit.document_name for hit in hits]


def open_alerts(home: House) -> set[str]:
    """What the monitor finds when it looks now."""
    home.ends(home.hub.tasks["queue_monitor"].defer())
    with home.hub.transaction() as session:
        return {alert.key for alert in alerts.listed(session)}


def hasten(home: House) -> None:
    """Let what waits for its time be ready, and the breakers be closed, as an operator may."""
    for key in KEYS:
        home.hub.resume(key=key)
    home.cluster.run(
        "UPDATE taskhub.procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"
        " AND queue_name IN ('indexing', 'mail')"
    )


def states(home: House) -> dict[str, int]:
    with home.hub.transaction() as session:
        told = [str(one) for one in session.scalars(select(OutboxMail.state))]
    return {one: told.count(one) for one in told}


def tried(home: House, task: str) -> int:
    """How many jobs of the task have an attempt behind them."""
    query = (
        "SELECT count(DISTINCT job_id) FROM taskhub.attempts"
        " WHERE task_name = %s AND outcome = 'retried'"
    )
    return int(home.cluster.one(query, task))


def test_what_needs_neither_endpoint_nor_mail_server_works_and_the_rest_ends_well_later(
    home: House, ports: dict[str, int], tmp_path: Path
) -> None:
    home.has_a_worker()
    with home.hub.transaction() as session:
        far = make_dataset(session, embedding_model="remote").id
        economy = make_dataset(session, technique="economy").id
        local = make_dataset(session)
        doomed = make_indexed(session, local, "Otters swim.").id
        words: dict[str, Any] = {"subject": "News", "paragraphs": ["one"]}
        people = [f"reader-{n}@example.com" for n in range(MANY)]
        post_many(session, home.hub.settings, "custom", people, **words)
    waiting = [
        add(home, far, tmp_path / f"far-{n}.txt", f"Badgers dig hole number {n}.")
        for n in range(MANY)
    ]
    until(lambda: tried(home, "mail_custom") >= MANY - 1, "mails that wait", seconds=60)
    until(lambda: tried(home, "document_embedding") >= MANY - 1, "requests", seconds=60)

    # All of this on the same worker, while the others back off.
    completes(home, add(home, economy, tmp_path / "near.txt", "Herons count boats."))
    [changed] = delete_documents(home.hub, [doomed])
    assert changed.job_id is not None
    assert home.ends(Job(changed.job_id, "clean_document", home.hub)) == "succeeded"
    assert found(home, economy, "herons") == ["near.txt"]
    # A key is told of while its jobs are due, so both may not be at the same look.
    missing = {f"open_breakers:{key}" for key in KEYS}

    def all_were_told() -> bool:
        missing.difference_update(open_alerts(home))
        return not missing

    until(all_were_told, "the alerts", seconds=60)
    assert {condition(home, one) for one in waiting}.isdisjoint(
        {Condition.COMPLETED, Condition.FAILED}
    )
    assert set(states(home)) <= {"waiting", "sending"}

    with ExitStack() as servers:
        endpoint = servers.enter_context(serving(ports["endpoint"]))
        smtp = Server(port=ports["smtp"])
        smtp.start()
        servers.callback(smtp.stop)
        # A mail server does not end while somebody is connected.
        servers.callback(home.has_a_worker().kill)
        hasten(home)
        for one in waiting:
            completes(home, one)
        until(lambda: states(home) == {"sent": MANY}, "the mails", seconds=60)

        assert sorted(str(mail["To"]) for mail in smtp.mails) == people
        assert sum(len(texts) for texts in endpoint.asked) == MANY
        assert found(home, far, "badgers dig") != []
        assert not {key for key in open_alerts(home) if key.startswith("open_breakers")}
    home.has_no_orphans()
