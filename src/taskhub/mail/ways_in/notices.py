"""Mails that the product itself has reason for, and mails in somebody's own words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.accounts import members, people
from taskhub.accounts.models import Account, Language
from taskhub.accounts.people import BadAccount
from taskhub.mail import custom
from taskhub.mail.custom import MailBody, mail_custom_body
from taskhub.mail.post import post
from taskhub.queue import Hub

MAX_LINES = 50
MAX_RECIPIENTS = 10_000


def send_notice(
    hub: Hub,
    recipients: Sequence[str],
    subject: str,
    lines: Sequence[str],
    *,
    intro: str = "",
    is_alert: bool = False,
    path: str = "/failures",
    session: Session | None = None,
) -> list[int]:
    """Mail a list of findings, a failure digest for one, to each address; the mails' ids.

    In the transaction of `session`, else in one of its own. Each gets it in their account's language,
    as far as it is ours: `subject`, `intro` and `lines` are sent as they are. Of more than 50 lines the
    rest is counted. Addresses that are none are left out.

    Args:
        intro: what stands before the list; without it a sentence in the reader's language.
        is_alert: that sentence speaks of a change, not of failures.
        path: of the page that the button opens, below the setting mail_link_base.
    """
    shown = list(lines[:MAX_LINES])
    if len(lines) > MAX_LINES:
        shown.append(f"… {len(lines) - MAX_LINES} more")
    link = f"{hub.settings.mail_link_base.rstrip('/')}{path}"
    sent: list[int] = []
    with _joined(hub, session) as joined:
        for address, account in _known(joined, recipients):
            mail = post(
                joined, hub.settings, "failure_digest", address,
                language=account.language if account is not None else Language.en_us,
                subject=subject, intro=intro, is_alert=is_alert, lines=shown, link=link,
            )  # fmt: skip
            sent.append(mail.id)
    return sent


def documents_disabled(
    hub: Hub, tenant_id: int, counts: Mapping[str, int], *, session: Session | None = None
) -> int | None:
    """Tell a tenant's owner how many documents of which datasets were disabled; None: nobody owns it."""
    with _joined(hub, session) as joined:
        owner = members.owner(joined, tenant_id)
        if owner is None or not counts:
            return None
        lines = [f"{name}: {count}" for name, count in counts.items()]
        mail = post(
            joined, hub.settings, "documents_disabled", owner.email, name=owner.name,
            language=owner.language, account=owner, lines=lines[:MAX_LINES],
        )  # fmt: skip
        return mail.id


def send_custom(
    hub: Hub,
    recipients: Sequence[str] | Mapping[str, Mapping[str, Any]],
    subject: str,
    body: str,
    *,
    language: str = Language.en_us,
    values: Mapping[str, Any] | None = None,
) -> list[str]:
    """Mail somebody's own words, a jinja template in a sandbox; the recipients that are no address.

    Args:
        recipients: addresses, or addresses with values of their own.
        values: for all of them.

    Raises:
        BadBody: subject or body is no template.
        BadAccount: the language is none of ours.
        ValueError: there are too many recipients.
    """
    custom.check(subject, body)
    language = people.checked_language(language)
    if len(recipients) > MAX_RECIPIENTS:
        raise ValueError(
            f"recipients must be {MAX_RECIPIENTS} at most, got {len(recipients)}; send several mails"
        )
    good, bad = _sorted_out(recipients, values or {})
    if good:
        with hub.transaction() as session:
            words = MailBody(subject=subject, body=body, language=language, recipients=good)
            session.add(words)
            session.flush()
            mail_custom_body.options(session=session).defer(words.id)
    return bad


def _sorted_out(
    recipients: Sequence[str] | Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]
) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """The recipients that are addresses, with their values, and those that are none."""
    good: list[tuple[str, dict[str, Any]]] = []
    bad: list[str] = []
    for recipient in recipients:
        own = recipients[recipient] if isinstance(recipients, Mapping) else {}
        try:
            good.append((people.checked_address(recipient), {**values, **own}))
        except BadAccount:
            bad.append(recipient)
    return good, bad


def _known(session: Session, recipients: Sequence[str]) -> Iterator[tuple[str, Account | None]]:
    """The recipients that are addresses, each once, with their accounts."""
    good: dict[str, str] = {}
    for recipient in recipients:
        try:
            address = people.checked_address(recipient)
        except BadAccount:
            continue
        good.setdefault(address.lower(), address)
    found = session.scalars(select(Account).where(func.lower(Account.email).in_(list(good))))
    accounts = {account.email.lower(): account for account in found}
    for key, address in good.items():
        yield address, accounts.get(key)


@contextmanager
def _joined(hub: Hub, session: Session | None) -> Iterator[Session]:
    if session is not None:
        yield session
        return
    with hub.transaction() as own:
        yield own
