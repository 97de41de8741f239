"""A mail server that does as it is told, transactions as a job opens them, and an account."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from taskhub import db
from taskhub.mail import accounts
from taskhub.mail.accounts import Account
from taskhub.settings import Settings
from tests.mail.server import Server


@pytest.fixture
def transaction(session: Session) -> Callable[[], AbstractContextManager[Session]]:
    """What stands in for `hub.transaction`: commits into the test's own transaction."""

    @contextmanager
    def transact() -> Iterator[Session]:
        with session.begin_nested():
            yield session

    return transact


@pytest.fixture
def sessions(database: str, kb: None) -> Iterator[sessionmaker[Session]]:
    """Sessions that really commit, for races."""
    engine = db.engine(db.address(database), Settings())
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def account(session: Session) -> Account:
    """Mei, who reads Chinese."""
    return accounts.create(session, "mei@example.com", "Mei", "zh-Hans")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start mail servers on free loopback ports: serve(security="tls", login=("user", "pass"))."""
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(Server(**options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def smtp(serve: Callable[..., Server]) -> Server:
    """A plain mail server without a login."""
    return serve()
