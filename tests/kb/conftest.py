"""What every test of the knowledge base stands on."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from tests.kb.makers import make_dataset


@pytest.fixture
def dataset(session: Session) -> Dataset:
    """An empty dataset with the hash embedder."""
    return make_dataset(session)


@pytest.fixture
def documents() -> Path:
    """The folder of small real files."""
    return Path(__file__).parents[1] / "fixtures" / "documents"
