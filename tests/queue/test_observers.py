"""Whoever watches jobs and defers can do them no harm."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from taskhub import Hub, Status
from taskhub.queue.acks import Claimed
from taskhub.queue.context import Context
from taskhub.queue.observers import Observer
from taskhub.queue.rows import NewJob


class Breaking(Observer):
    """Fails as it begins, or when it is over."""

    def __init__(self, when: str) -> None:
        self._when = when

    @contextmanager
    def deferring(self, jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
        with self._breaks():
            yield jobs

    @contextmanager
    def attempt(self, job: Claimed, context: Context) -> Iterator[None]:  # noqa: ARG002 - as declared
        with self._breaks():
            yield

    @contextmanager
    def _breaks(self) -> Iterator[None]:
        if self._when == "begin":
            raise RuntimeError("the tracer is broken")
        try:
            yield
        finally:
            raise RuntimeError("the tracer is broken")


class Absent(Observer):
    """Fails where it is asked."""

    def deferring(self, jobs: Sequence[NewJob]) -> None:  # type: ignore[override]  # noqa: ARG002
        raise RuntimeError("the tracer is broken")

    def attempt(self, job: Claimed, context: Context) -> None:  # type: ignore[override]  # noqa: ARG002
        raise RuntimeError("the tracer is broken")


@pytest.mark.parametrize("observer", [Breaking("begin"), Breaking("end"), Absent()])
def test_an_observer_that_fails_fails_no_job(
    hub: Hub, caplog: pytest.LogCaptureFixture, observer: Observer
) -> None:
    @hub.task(name="knit")
    def knit(n: int) -> int:
        if n:
            raise ValueError("no wool")
        return 7

    hub.observers.append(observer)
    good, bad = knit.defer(0), knit.defer(1)
    hub.run_worker(wait=False)

    assert good.result(timeout=0) == 7
    assert bad.status() is Status.FAILED
    assert bad.attempts()[-1].error_class == "ValueError"
    told = [r for r in caplog.records if r.name == "taskhub.observers"]
    assert len(told) == 4  # two defers, two attempts
    assert all("the tracer is broken" in (r.exc_text or str(r.exc_info)) for r in told)
