"""A hub with the system family and somebody who receives its notices."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskhub import Fail, Hub
from taskhub.settings import Settings
from taskhub.system.tasks import switch_on, system
from tests.mail.server import Server
from tests.system.receiver import Receiver, receiving

SECRET = "a secret of the two of us"  # noqa: S105 - of a test
Watched = Callable[..., Hub]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as told:
        yield told


@pytest.fixture
def smtp() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def watched(settings: Settings) -> Iterator[Watched]:
    """Makes hubs with the system family and a task `work` that fails where it is told to."""
    made: list[Hub] = []

    def make(**changes: Any) -> Hub:
        hub = Hub(settings=dataclasses.replace(settings, **changes))
        hub.add(system)
        switch_on(hub)

        @hub.task(name="work", queue="shop")
        def work(reason: str = "") -> None:
            if reason:
                raise Fail(reason)

        made.append(hub)
        return hub

    yield make
    for hub in made:
        hub.close()


def to_webhook(receiver: Receiver) -> dict[str, Any]:
    return {"notice_webhook_url": receiver.url, "notice_webhook_secret": SECRET}


def run(hub: Hub, task: str, **arguments: Any) -> Any:
    """Run one task by a worker and what it defers; its result."""
    job = hub.tasks[task].defer(**arguments)
    hub.run_worker(queues=["system"], wait=False)
    return job.result(timeout=0)
