"""Directories and clusters for the tests of the embedded Postgres."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from taskhub import embedded
from taskhub.settings import Settings


def _folder() -> Path:
    # Not tmp_path: root's is closed to the account that runs the server, and its path is long.
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="th-", dir="/tmp")))
    folder.chmod(0o755)
    return folder


def _remove(folder: Path) -> None:
    for cluster in folder.rglob("pg18"):
        with suppress(embedded.EmbeddedFailed):
            embedded.reset(Settings(home=cluster.parent))
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty directory that every account can enter; servers in it are stopped at the end."""
    folder = _folder()
    yield folder
    _remove(folder)


@pytest.fixture
def fresh(folder: Path) -> Settings:
    """Settings of a project that has no cluster yet, without a watchdog."""
    return Settings(home=folder / "home", embedded_idle_minutes=0)


@pytest.fixture(scope="session")
def _kept() -> Iterator[Settings]:
    folder = _folder()
    yield Settings(home=folder / "home", embedded_idle_minutes=0)
    _remove(folder)


@pytest.fixture
def running(_kept: Settings) -> Settings:
    """Settings of a cluster that all tests share, its server started."""
    embedded.start(_kept)
    return _kept


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait for a condition, and fail if it does not come true in time."""

    def wait(condition: Callable[[], bool], *, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not true within {seconds} s"
            time.sleep(0.05)

    return wait
