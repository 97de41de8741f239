"""A mail server that does as it is told, transactions as a job opens them, and an account."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from taskhub import Hub, db
from taskhub.accounts import people
from taskhub.accounts.models import Account
from taskhub.mail import tasks
from taskhub.mail.senders.smtp import close_idle
from taskhub.settings import Settings
from tests.mail.server import Server

HubFor = Callable[..., Hub]


@pytest.fixture
def transaction(session: Session) -> Callable[[], AbstractContextManager[Session]]:
    """What stands in for `hub.transaction`: commits into the test's own transaction."""

    @contextmanager
    def transact() -> Iterator[Session]:
        with session.begin_nested():
            yield session

    return transact


@pytest.fixture
def sessions(database: str) -> Iterator[sessionmaker[Session]]:
    """Sessions that really commit, for races."""
    engine = db.engine(db.address(database), Settings())
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def account(session: Session) -> Account:
    """Mei, who reads Chinese."""
    return people.create(session, "mei@example.com", "Mei", "zh-Hans")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start mail servers on free loopback ports: serve(security="tls", login=("user", "pass"))."""
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(Server(**options))
        started[-1].start()
        return started[-1]

    yield start
    close_idle()  # a server does not end while somebody is connected
    for server in started:
        server.stop()


@pytest.fixture
def smtp(serve: Callable[..., Server]) -> Server:
    """A plain mail server without a login."""
    return serve()


@pytest.fixture
def hub_for(database: str) -> Iterator[HubFor]:
    """A hub with the mail family whose mails go to one server."""
    made: list[Hub] = []

    def make(server: Server, **settings: Any) -> Hub:
        values = {"database_url": database, "concurrency": 4, "poll_seconds": 0.2, **settings}
        made.append(Hub(settings=server.settings(**values)))
        made[-1].add(tasks.mail)
        return made[-1]

    yield make
    for hub in made:
        hub.close()
