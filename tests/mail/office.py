"""What the tests of mail jobs do and look at."""

from sqlalchemy import select, text

from taskhub import Hub, Job
from taskhub.mail.outbox import OutboxMail


def work(hub: Hub) -> None:
    """Run what is ready to its end."""
    hub.run_worker(wait=False)


def mails(hub: Hub) -> list[OutboxMail]:
    """The outbox, oldest first."""
    with hub.transaction() as session:
        rows = list(session.scalars(select(OutboxMail).order_by(OutboxMail.id)))
        session.expunge_all()
        return rows


def kept(hub: Hub) -> OutboxMail:
    """The one mail in the outbox."""
    [row] = mails(hub)
    return row


def job_of(hub: Hub, row: OutboxMail) -> Job[str]:
    assert row.job_id is not None
    return Job(row.job_id, f"mail_{row.kind}", hub)


def hasten(hub: Hub) -> None:
    """Let what waits for its time be ready, and forget what the breaker has seen."""
    with hub.transaction() as session:
        session.execute(
            text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
        )
    hub.resume(key="smtp")
