"""Jobs cancelled in the caller's own transaction."""

import pytest

from taskhub import Hub, Status
from taskhub.queue import Job, JobEvent, cancel_within


@pytest.fixture
def waiting(hub: Hub) -> list[Job[None]]:
    """Three jobs that wait."""

    @hub.task(name="wait")
    def wait() -> None:
        """Do nothing."""

    return [wait.options(autocommit=True).defer() for _ in range(3)]


def test_jobs_are_cancelled_when_the_transaction_commits(
    hub: Hub, waiting: list[Job[None]]
) -> None:
    told: list[JobEvent] = []
    hub.on("job.cancelled", told.append)

    with hub.transaction() as session:
        asked = [waiting[0].id, waiting[2].id, waiting[0].id, 10**9]
        found = cancel_within(session, hub, asked, reason="its document was deleted")
        before = waiting[0].status()

    assert found == [waiting[0].id, waiting[2].id]
    assert before is Status.TODO
    assert [job.status() for job in waiting] == [Status.CANCELLED, Status.TODO, Status.CANCELLED]
    assert waiting[0].attempts()[0].error_message == "its document was deleted"
    assert [event.job_id for event in told] == found


def test_a_rollback_cancels_nothing(hub: Hub, waiting: list[Job[None]]) -> None:
    with pytest.raises(ZeroDivisionError), hub.transaction() as session:
        cancel_within(session, hub, [job.id for job in waiting])
        raise ZeroDivisionError

    assert {job.status() for job in waiting} == {Status.TODO}


def test_jobs_that_have_ended_are_left_alone(hub: Hub, waiting: list[Job[None]]) -> None:
    hub.run_worker(wait=False)

    with hub.transaction() as session:
        assert cancel_within(session, hub, [job.id for job in waiting]) == []
    assert {job.status() for job in waiting} == {Status.SUCCEEDED}
