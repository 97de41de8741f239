"""A hub with every task, on a database of the test's own."""

from collections.abc import Iterator

import pytest

from taskhub import Hub, app
from taskhub.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()
