"""A library with a worker: what is asked is committed, and what was deferred is run."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskhub import Hub, app
from taskhub.kb.datasets import create
from taskhub.settings import Settings
from tests.kb.documents.site import Site, serving
from tests.kb.makers import make_dataset
from tests.kb.ways_in.library import Library


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    """A hub with the tasks of the knowledge base, which may fetch from this machine by one name."""
    small = dataclasses.replace(
        settings,
        max_file_bytes=1_000_000,
        fetch_seconds=10.0,
        allowed_private_hosts=("localhost",),
    )
    made = app.build(small)
    yield made
    made.close()


@pytest.fixture
def library(hub: Hub, tmp_path: Path) -> Library:
    """A library with one empty dataset."""
    with hub.transaction() as session:
        dataset_id = make_dataset(session).id
        create.get(session, dataset_id)
    return Library(hub, dataset_id, tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server of this machine."""
    with serving() as site:
        yield site
