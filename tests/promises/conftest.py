"""The shop: a database with two tables, and its process."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from taskhub import db

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def shop(database: str) -> str:
    """The url of a database with orders and what was shipped of them."""
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
        connection.execute("CREATE TABLE shipped (order_id bigint NOT NULL)")
    return database


@pytest.fixture
def start(shop: str) -> Iterator[Start]:
    """Starts the shop's process in a role; whatever is left of them is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*role: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("shop.py")), shop, *role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    """What the process says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
