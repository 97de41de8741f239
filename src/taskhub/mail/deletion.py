"""An account that is to go: what names the person is erased first, the account last."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sqlalchemy import Text, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from taskhub.accounts import members
from taskhub.accounts.models import Account, Invitation
from taskhub.mail.blueprint import mail
from taskhub.mail.custom import MailBody
from taskhub.mail.outbox import OutboxMail
from taskhub.mail.post import post
from taskhub.queue import Backoff, Context, Fail
from taskhub.queue.erasing import Place, Traces, erase_attempts, erase_jobs, pattern

ERASE_ROWS = 2_000
# Of the knowledge base, which mails know nothing of.
CLEAN_TENANT = "clean_tenant"

# One batch: does its share behind a place in the given session, and says where to go on and how many.
Step = Callable[[Session, Place], tuple[Place | None, int]]


@mail.task(
    name="delete_account",
    queue="cleaning",
    lock="account:{account_id}",
    retry=Backoff(max_attempts=5),
)
def delete_account(ctx: Context, account_id: int) -> dict[str, int]:
    """Erase a disabled account's person from jobs, history and mails, then the account; counts by kind.

    Batches with a transaction each. As long as the account's row is there it can be run again from
    the start; afterwards it finds nothing.
    """
    with ctx.hub.transaction() as session:
        account = session.get(Account, account_id)
        if account is None:
            return {}
        if account.disabled_at is None:
            raise Fail(f"account {account_id} is in use; whoever deletes it disables it first")
        email, name = account.email, account.name
    traces = Traces(sure=(email,), also=(name,), about={"account_id": account_id})
    told: dict[str, int] = {}
    for kind, step in _steps(ctx.hub.settings.schema, traces, email):
        told[kind] = 0
        for erased in _batches(ctx, step):
            told[kind] += erased
            ctx.progress(sum(told.values()), note=kind)
    with ctx.hub.transaction() as session:
        _let_go(session, ctx, account_id)
    return told


def _batches(ctx: Context, step: Step) -> Iterator[int]:
    place: Place | None = Place()
    while place is not None:
        if ctx.cancelled:
            raise Fail("stopped between two batches, as somebody or the end of the worker asked")
        with ctx.hub.transaction() as session:
            place, erased = step(session, place)
        yield erased


def _steps(schema: str, traces: Traces, email: str) -> Iterator[tuple[str, Step]]:
    def jobs(session: Session, place: Place) -> tuple[Place | None, int]:
        return erase_jobs(session.connection(), schema, traces, place, limit=ERASE_ROWS)

    def history(session: Session, place: Place) -> tuple[Place | None, int]:
        return erase_attempts(session.connection(), schema, traces, place, limit=ERASE_ROWS)

    yield "jobs", jobs
    yield "history", history
    yield "mails", partial(_delete_mails, email=email)
    yield "mentions", partial(_blank_mentions, traces=traces)
    yield "bodies", partial(_blank_bodies, traces=traces)


def _delete_mails(session: Session, _: Place, *, email: str) -> tuple[Place | None, int]:
    """What was mailed to the address; those that wait find their row gone and are dropped."""
    some = (
        select(OutboxMail.id)
        .where(func.lower(OutboxMail.recipient) == email.lower())
        .limit(ERASE_ROWS)
    )
    gone = session.scalars(
        delete(OutboxMail)
        .where(OutboxMail.id.in_(some))
        .returning(OutboxMail.id)
        .execution_options(synchronize_session=False)
    ).all()
    return (Place() if gone else None), len(gone)


def _blank_mentions(session: Session, place: Place, *, traces: Traces) -> tuple[Place | None, int]:
    """Where mails to others name the address: an old owner of a tenant is told who has it now."""
    looked = session.scalars(
        select(OutboxMail.id)
        .where(OutboxMail.id > place.job_id)
        .order_by(OutboxMail.id)
        .limit(ERASE_ROWS)
    ).all()
    if not looked:
        return None, 0
    sure = pattern(traces.sure)
    blanked = session.scalars(
        update(OutboxMail)
        .where(OutboxMail.id.in_(looked))
        .where(
            func.concat_ws(
                " ", cast(OutboxMail.values, Text), OutboxMail.subject, OutboxMail.error
            ).regexp_match(sure, flags="i")
        )
        .values(
            values=cast(_blank(cast(OutboxMail.values, Text), sure), JSONB),
            subject=_blank(OutboxMail.subject, sure),
            error=_blank(OutboxMail.error, sure),
        )
        .returning(OutboxMail.id)
        .execution_options(synchronize_session=False)
    ).all()
    return Place(looked[-1]), len(blanked)


def _blank_bodies(session: Session, _: Place, *, traces: Traces) -> tuple[Place | None, int]:
    """Custom mails that were not written yet, or could not be."""
    sure = pattern(traces.sure)
    blanked = session.scalars(
        update(MailBody)
        .where(cast(MailBody.recipients, Text).regexp_match(sure, flags="i"))
        .values(recipients=cast(_blank(cast(MailBody.recipients, Text), sure), JSONB))
        .returning(MailBody.id)
        .execution_options(synchronize_session=False)
    ).all()
    return None, len(blanked)


def _blank(column: Any, sure: str) -> Any:
    return func.regexp_replace(column, sure, "[erased]", "gi")


def _let_go(session: Session, ctx: Context, account_id: int) -> None:
    """Delete the row, with its codes, memberships and mails, and send the last mail.

    A tenant that nobody else is in goes too, by a job of the knowledge base where there is one.
    """
    account = session.get(Account, account_id, with_for_update=True)
    if account is None:
        return
    session.execute(
        delete(Invitation)
        .where(func.lower(Invitation.email) == account.email.lower())
        .execution_options(synchronize_session=False)
    )
    alone = members.leave_owned(session, account_id)
    if CLEAN_TENANT in ctx.hub.tasks:
        for tenant_id in alone:
            ctx.hub.tasks[CLEAN_TENANT].options(session=session).defer(tenant_id)
    post(
        session, ctx.hub.settings, "account_deleted", account.email,
        name=account.name, language=account.language,
    )  # fmt: skip
    session.execute(
        delete(Account).where(Account.id == account_id).execution_options(synchronize_session=False)
    )
