"""A worker is killed while mails leave: what may have come twice stands in the outbox, by name."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from taskhub import Hub, settings
from taskhub.mail import tasks
from taskhub.mail.deliver import FLIGHT
from taskhub.mail.outbox import OutboxMail, State
from taskhub.mail.post import post_many
from tests.faults.cluster import Cluster
from tests.faults.conftest import Jobs
from tests.faults.programs import Program
from tests.mail.server import Server
from tests.waiting import until

MAILS = 400
CONCURRENCY = 2  # connections of the workshop


@pytest.fixture
def smtp() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hub(cluster: Cluster) -> Iterator[Hub]:
    made = Hub(settings=settings.load({"database_url": cluster.url}))
    made.add(tasks.mail)
    yield made
    made.close()


@pytest.fixture
def send(
    cluster: Cluster, smtp: Server, programs: list[Program], tmp_path: Path
) -> Callable[[], Program]:
    """Starts a worker that sends."""

    def start() -> Program:
        port, log = str(smtp.settings().smtp_port), tmp_path / f"mail-{len(programs)}.log"
        programs.append(Program("mail_workshop.py", cluster.url, port, log=log))
        return programs[-1]

    return start


def arrive(smtp: Server, mails: int) -> None:
    until(lambda: len(smtp.mails) >= mails, f"{mails} mails", seconds=60)


@pytest.mark.parametrize("kills", [1, 3])
def test_a_kill_leaves_no_more_extras_than_were_in_the_air_and_names_each(
    hub: Hub, smtp: Server, jobs: Jobs, send: Callable[[], Program], kills: int
) -> None:
    words = {"subject": "News", "paragraphs": ["one"]}
    recipients = [f"m{n}@example.com" for n in range(MAILS)]
    with hub.transaction() as session:
        post_many(session, hub.settings, "custom", recipients, **words)  # type: ignore[arg-type]  # of two types

    for n in range(kills):
        victim = send()
        arrive(smtp, len(smtp.mails) + 30 + 7 * n)
        victim.kill()
    send()
    jobs.drained(seconds=120)

    arrived = Counter(str(mail["Message-ID"]) for mail in smtp.mails)
    with hub.transaction() as session:
        rows = session.scalars(select(OutboxMail)).all()
        doubtful = {row.message_id for row in rows if row.doubtful_at is not None}
        assert {row.state for row in rows} == {State.sent}
        assert set(arrived) == {row.message_id for row in rows}
    twice = {message_id for message_id, count in arrived.items() if count > 1}
    extras = sum(arrived.values()) - MAILS
    print(f"{kills} kills: {extras} extras, {len(doubtful)} named")
    assert twice <= doubtful
    assert extras <= kills * CONCURRENCY * FLIGHT
    assert len(doubtful) <= kills * CONCURRENCY * FLIGHT
