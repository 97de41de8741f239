"""Hubs with what the screens of the families show."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskhub import Hub, app
from taskhub.settings import Settings
from tests.dashboard.conftest import Browser, Visitor
from tests.kb.makers import make_dataset
from tests.kb.ways_in.library import Library


@pytest.fixture
def family(settings: Settings, tmp_path: Path) -> Iterator[Hub]:
    """The built-in hub, whose mails go into a folder."""
    mails = tmp_path / "mails"
    mails.mkdir()
    made = app.build(
        dataclasses.replace(
            settings, mail_sender="directory", mail_directory=mails, embedder="hash"
        )
    )
    yield made
    made.close()


@pytest.fixture
def reader(visitor: Visitor, family: Hub) -> Browser:
    """A browser of the built-in hub."""
    return visitor(family)


@pytest.fixture
def library(family: Hub, tmp_path: Path) -> Library:
    """A library with one empty dataset."""
    with family.transaction() as session:
        dataset_id = make_dataset(session).id
    return Library(family, dataset_id, tmp_path)
