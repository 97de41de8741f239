"""Process jobs that try to take the machine: each fails with its reason, and its neighbours finish."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskhub import Hub, Status
from taskhub.queue.jobs import Job
from taskhub.settings import Settings
from tests.queue import crunching
from tests.waiting import until


@pytest.fixture
def hub(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose process tasks are those of `crunching`, here and in the children."""
    assert settings.database_url is not None
    monkeypatch.setenv("TASKHUB_DATABASE_URL", settings.database_url)
    made = Hub(settings=replace(settings, process_children=2, timeout_grace_seconds=0.5))
    made.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", made)
    yield made
    made.close()


def failure(job: Job[Any]) -> tuple[str, str]:
    assert job.status() is Status.FAILED
    attempt = job.attempts()[-1]
    return (attempt.error_class or "").rsplit(".", 1)[-1], attempt.error_message or ""


def processes_of(mark: str) -> list[str]:
    """The processes whose environment names `mark`; zombies have none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_a_fork_bomb_is_gone_when_its_time_is_up(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"TASKHUB_TEST_BOMB={tmp_path}"
    monkeypatch.setenv(*mark.split("="))
    bomb = crunching.fork_bomb.defer(str(tmp_path / "count"))
    neighbours = [crunching.add.defer(n, n) for n in range(4)]

    hub.run_worker(wait=False)

    assert failure(bomb)[0] == "TaskTimeout"
    assert len((tmp_path / "count").read_bytes()) > 100  # it went off
    until(lambda: not processes_of(mark), "the end of all of them", seconds=10)
    assert [job.result(timeout=0) for job in neighbours] == [0, 2, 4, 6]


def test_a_result_of_a_gigabyte_fails_its_job_alone(hub: Hub) -> None:
    huge, neighbour = crunching.huge_result.defer(1000), crunching.add.defer(1, 1)

    hub.run_worker(wait=False)

    assert failure(huge) == (
        "ResultTooLarge",
        "result must be at most 16777216 bytes, got 1000000000",
    )
    assert neighbour.result(timeout=0) == 2


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("gil", "TaskTimeout: timed out after 0.5 s and did not stop; its process was killed"),
        ("sigterm", "TaskTimeout: timed out after 0.5 s and did not stop; its process was killed"),
        ("segfault", "ChildDied: its process was killed by SIGSEGV"),
        ("exit", "ChildDied: its process ended with exit code 3"),
        ("memory", "memory_mb is 300"),
    ],
)
def test_a_hostile_job_fails_with_its_reason_and_its_neighbours_finish(
    hub: Hub, how: str, told: str
) -> None:
    hostile: Job[Any] = {
        "gil": crunching.hold_the_gil.defer,
        "sigterm": crunching.ignore_sigterm.defer,
        "segfault": lambda: crunching.die.defer("segfault"),
        "exit": lambda: crunching.die.defer("exit"),
        "memory": crunching.eat_memory.defer,
    }[how]()
    neighbours = [crunching.add.defer(n, 1) for n in range(6)]

    hub.run_worker(wait=False)

    assert told in ": ".join(failure(hostile))
    assert [job.result(timeout=0) for job in neighbours] == [1, 2, 3, 4, 5, 6]
