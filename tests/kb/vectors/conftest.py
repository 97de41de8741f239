"""An endpoint for the tests of vectors."""

from collections.abc import Iterator

import pytest

from tests.kb.vectors.endpoint import Endpoint, serving


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An embedding endpoint of the test's own."""
    with serving() as served:
        yield served
