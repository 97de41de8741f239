"""An account, and sessions that really commit."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker

from taskhub import db
from taskhub.accounts import people
from taskhub.accounts.models import Account
from taskhub.settings import Settings


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
