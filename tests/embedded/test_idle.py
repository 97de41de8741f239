import dataclasses
import subprocess
from collections.abc import Callable

import psycopg

from taskhub import embedded
from taskhub.settings import Settings


def watchdogs(settings: Settings) -> int:
    shown = subprocess.run(
        ["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    home = str(embedded.home(settings))
    return sum("idle.py" in line and home in line for line in shown.splitlines())


def with_idle_seconds(settings: Settings, seconds: float) -> Settings:
    return dataclasses.replace(settings, embedded_idle_minutes=seconds / 60)


def test_a_server_that_nobody_uses_is_stopped(
    running: Settings, eventually: Callable[..., None]
) -> None:
    idle = with_idle_seconds(running, 1)
    with psycopg.connect(embedded.url(idle)) as connection:
        connection.execute("SELECT pg_sleep(2.5)")
        assert embedded.is_running(idle)

    eventually(lambda: not embedded.is_running(idle))

    eventually(lambda: watchdogs(idle) == 0)


def test_there_is_one_watchdog_and_it_ends_with_the_server(
    running: Settings, eventually: Callable[..., None]
) -> None:
    idle = with_idle_seconds(running, 3600)
    for _ in range(3):
        embedded.url(idle)
    eventually(lambda: watchdogs(idle) == 1)

    embedded.stop(idle)

    eventually(lambda: watchdogs(idle) == 0)


def test_asking_for_the_url_counts_as_use(
    running: Settings, eventually: Callable[..., None]
) -> None:
    idle = with_idle_seconds(running, 1)
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        embedded.url(idle, start=embedded.is_running(idle))
        return asked > 40

    eventually(ask)

    assert embedded.is_running(idle)
    embedded.stop(idle)
    eventually(lambda: watchdogs(idle) == 0)


def test_zero_idle_minutes_mean_no_watchdog(running: Settings) -> None:
    embedded.url(with_idle_seconds(running, 0))

    assert watchdogs(running) == 0
