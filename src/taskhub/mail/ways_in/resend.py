"""A mail that did not leave, or that somebody wants once more."""

from sqlalchemy.orm import Session

from taskhub.mail import outbox
from taskhub.mail.compose import domain
from taskhub.mail.outbox import OutboxMail, State
from taskhub.mail.sending import SENDING
from taskhub.queue import Hub, Job, Status

OVER = (Status.FAILED, Status.CANCELLED, Status.ABORTED, Status.SUCCEEDED)


class CannotResend(ValueError):
    """A mail cannot be sent again as it is; the message says why."""


def resend(hub: Hub, mail_id: int, *, again: bool = False) -> int:
    """Have a mail sent that was refused, dropped or given up; the id of the job.

    What made it worthless is looked at when its turn comes: a code that is too old is dropped again.

    Args:
        again: also one that was sent, as a new mail with a Message-ID of its own.

    Raises:
        CannotResend: there is no such mail, it was sent, or a job is at it.
    """
    with hub.transaction() as session:
        mail = session.get(OutboxMail, mail_id, with_for_update=True)
        if mail is None:
            raise CannotResend(f"mail {mail_id} does not exist; see `taskhub mail ls`")
        if mail.state is State.sent:
            if not again:
                raise CannotResend(f"mail {mail_id} was sent; use --again for another one")
            mail = _copy(session, hub, mail)
        elif mail.state in (State.waiting, State.sending) and _is_at_work(hub, mail):
            raise CannotResend(f"mail {mail_id} waits for its job {mail.job_id}; see `taskhub why`")
        elif mail.state is not State.sending:  # that one is in doubt, and stays so
            mail.state = State.waiting
        mail.error = None
        mail.job_id = SENDING[mail.kind].options(session=session).defer(mail_id=mail.id).id
        return mail.job_id


def _is_at_work(hub: Hub, mail: OutboxMail) -> bool:
    if mail.job_id is None:
        return False
    job: Job[str] = Job(mail.job_id, f"mail_{mail.kind}", hub)
    try:
        return job.status() not in OVER
    except LookupError:
        return False


def _copy(session: Session, hub: Hub, mail: OutboxMail) -> OutboxMail:
    key, message_id = outbox.identity(domain(hub.settings.mail_from))
    copied = OutboxMail(
        key=key, message_id=message_id, kind=mail.kind, account_id=mail.account_id,
        recipient=mail.recipient, recipient_name=mail.recipient_name, language=mail.language,
        values=mail.values, code_id=mail.code_id, invitation_id=mail.invitation_id,
    )  # fmt: skip
    session.add(copied)
    session.flush()
    return copied
