"""The mail family's background tasks, and the ways in that defer them."""

from taskhub.mail import accounts, codes
from taskhub.mail.codes import Purpose
from taskhub.mail.deliver import deliver
from taskhub.mail.senders import sender
from taskhub.mail.senders.refusals import PermanentRefusal
from taskhub.queue import Backoff, Blueprint, Context, Fail, Hub

# Nobody's postbox is to be filled by somebody who knows the address.
RESETS_AN_HOUR = 5

mail = Blueprint()


@mail.task(name="mail_verify_email", queue="mail", retry=Backoff(max_attempts=5))
def mail_verify_email(ctx: Context, code_id: int) -> str:
    """Mail a new account the six digits that prove its address."""
    return _attempt(ctx, code_id)


@mail.task(name="mail_reset_password", queue="mail", retry=Backoff(max_attempts=5))
def mail_reset_password(ctx: Context, code_id: int) -> str:
    """Mail an account the link with which it may set a new password."""
    return _attempt(ctx, code_id)


def register(hub: Hub, email: str, name: str, language: str = "en-US") -> int:
    """A new account and the mail that verifies its address, in one transaction; the account's id.

    Raises:
        BadAccount: the address, the name or the language cannot be used.
        AccountExists: the address is taken.
    """
    with hub.transaction() as session:
        account = accounts.create(session, email, name, language)
        code = codes.issue(session, account, Purpose.verify_email, hub.settings.code_minutes)
        mail_verify_email.defer(code.id)
        return account.id


def request_reset(hub: Hub, email: str) -> None:
    """Mail the account a reset link, at most five an hour.

    Says nothing of whether there is such an account, also not to whoever sends no address at all.
    """
    with hub.transaction() as session:
        account = accounts.find(session, email)
        if account is None or account.disabled_at is not None:
            return
        if codes.issued(session, account, Purpose.reset_password, minutes=60) >= RESETS_AN_HOUR:
            return
        code = codes.issue(session, account, Purpose.reset_password, hub.settings.code_minutes)
        mail_reset_password.defer(code.id)


def _attempt(ctx: Context, code_id: int) -> str:
    settings = ctx.hub.settings
    try:
        outcome = deliver(
            ctx.hub.transaction,
            sender(settings),
            settings,
            code_id,
            key=ctx.idempotency_key,
            job_id=ctx.job_id,
        )
    except PermanentRefusal as refusal:
        raise Fail(str(refusal)) from refusal
    # The adapter's own `extra` would hide ours.
    ctx.log.info("mail attempted: %s", outcome)
    return outcome
