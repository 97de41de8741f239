"""What people ask for themselves: an account, a way back in, another address, to be forgotten.

Whoever asks without being signed in gets the same answer, after the same work, whether there is an
account with the address or not.
"""

from taskhub.accounts import changes, codes, people
from taskhub.accounts.changes import WrongCode
from taskhub.accounts.codes import Purpose
from taskhub.accounts.models import Language
from taskhub.accounts.people import BadAccount
from taskhub.mail.deletion import delete_account
from taskhub.mail.post import post, post_code
from taskhub.queue import Hub


def register(hub: Hub, email: str, name: str, language: str = Language.en_us) -> None:
    """Make an account and mail the code that verifies its address, in one transaction.

    Where a verified account has the address, a mail there says so; nothing says it here.

    Raises:
        BadAccount: the address, the name or the language cannot be used.
    """
    settings = hub.settings
    with hub.transaction() as session:
        account = people.find_or_create(session, email, name, language)
        # For an account that is there it goes nowhere: both ways are to take the same time.
        code = codes.issue(session, account, Purpose.verify_email, settings.code_minutes)
        if account.verified_at is None:
            post_code(session, settings, account, code, good_minutes=settings.code_minutes)
            return
        post(
            session, settings, "account_exists", account.email, name=account.name,
            language=account.language, account=account, good_minutes=settings.code_minutes,
            reset_link=f"{settings.mail_link_base.rstrip('/')}/reset-password",
        )  # fmt: skip


def request_reset(hub: Hub, email: str, language: str = Language.en_us) -> None:
    """Mail the address a link to set a new password, or that it has no account.

    Which of the two is found out when the mail's turn comes. `language` is for those without an account.
    Whoever sends no address at all hears nothing either.
    """
    _seek(hub, "reset_password", email, language)


def request_login(hub: Hub, email: str, language: str = Language.en_us) -> None:
    """Mail the address a code to sign in with, or that it has no account; as `request_reset`."""
    _seek(hub, "login", email, language)


def _seek(hub: Hub, kind: str, email: str, language: str) -> None:
    try:
        address, language = people.checked_address(email), people.checked_language(language)
    except BadAccount:
        return
    with hub.transaction() as session:
        minutes = hub.settings.code_minutes
        post(session, hub.settings, kind, address, language=language, good_minutes=minutes)


def log_in(hub: Hub, email: str, code: str) -> int | None:
    """The id of the account that proves itself by the code from its login mail; None: it does not."""
    with hub.transaction() as session:
        account = changes.log_in(session, email, code)
        return account.id if account is not None else None


def ask_address_change(hub: Hub, account_id: int) -> None:
    """Mail a signed-in person the code that proves that they read mails to their present address.

    Raises:
        UnknownAccount: there is none, or it is disabled.
    """
    with hub.transaction() as session:
        account = changes.living(session, account_id)
        minutes = hub.settings.code_minutes
        code = codes.issue(session, account, Purpose.change_email_old, minutes)
        post_code(session, hub.settings, account, code)


def prove_address(hub: Hub, account_id: int, code: str, new_address: str) -> None:
    """With the code from the old address, mail another one to the new address.

    An address that somebody has already is told so by mail; here it looks the same.

    Raises:
        BadAccount: the new address is none; the code stays good.
        WrongCode: it is not the code that was mailed.
    """
    address = people.checked_address(new_address)
    settings = hub.settings
    with hub.transaction() as session:
        account = changes.living(session, account_id)
        is_right = codes.redeem(session, account_id, Purpose.change_email_old, code)
        if is_right:
            other = people.find(session, address)
            issued = codes.issue(
                session, account, Purpose.change_email_new, settings.code_minutes, address=address
            )
            if other in (None, account):
                post_code(session, settings, account, issued)
            else:
                post(
                    session, settings, "account_exists", address, language=account.language,
                    name=account.name, good_minutes=settings.code_minutes,
                    reset_link=f"{settings.mail_link_base.rstrip('/')}/reset-password",
                )  # fmt: skip
    _refuse_unless(is_right)


def confirm_address(hub: Hub, account_id: int, code: str) -> None:
    """Change the address with the code that was mailed to the new one, and tell both.

    Raises:
        WrongCode: it is not the code that was mailed.
        AccountExists: the address was taken in the meantime.
    """
    with hub.transaction() as session:
        moved = changes.move(session, account_id, code)
        if moved is not None:
            account = moved.account
            for recipient in (moved.old, account.email):
                post(
                    session, hub.settings, "change_email_done", recipient, name=account.name,
                    language=account.language, account=account, old_address=moved.old,
                    new_address=account.email,
                )  # fmt: skip
    _refuse_unless(moved is not None)


def ask_deletion(hub: Hub, account_id: int) -> None:
    """Mail a signed-in person the code that confirms that their account is to be deleted.

    Raises:
        UnknownAccount: there is none, or it is disabled.
        StillOwner: it owns a tenant that others are in.
    """
    with hub.transaction() as session:
        account = changes.living(session, account_id)
        changes.check_may_go(session, account_id)
        minutes = hub.settings.code_minutes
        code = codes.issue(session, account, Purpose.delete_account, minutes)
        post_code(session, hub.settings, account, code)


def confirm_deletion(hub: Hub, account_id: int, code: str) -> int:
    """Disable the account at once and have it erased in the background; the id of the job.

    Raises:
        UnknownAccount: there is none, or it is disabled already.
        StillOwner: it owns a tenant that others are in.
        WrongCode: it is not the code that was mailed.
    """
    job_id = 0
    with hub.transaction() as session:
        if changes.give_up(session, account_id, code) is not None:
            job_id = delete_account.options(session=session).defer(account_id).id
    _refuse_unless(job_id != 0)
    return job_id


def _refuse_unless(is_right: bool) -> None:
    # After the commit: a wrong try must be counted.
    if not is_right:
        raise WrongCode("the code is wrong, was used, or is too old; ask for another one")
