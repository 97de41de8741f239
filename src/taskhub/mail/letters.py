"""Mails as messages, when their turn has come: what is worth nothing any more is told so instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode

from jinja2 import UndefinedError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.accounts import codes, invitations, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.models import Account, Invitation
from taskhub.mail import outbox
from taskhub.mail.compose import compose
from taskhub.mail.kinds import KINDS, NOT_FOUND
from taskhub.mail.outbox import Ended, OutboxMail, State
from taskhub.mail.render import Brand, render
from taskhub.settings import Settings


class _Worthless(Exception):
    """The mail is no use to anybody any more; the message says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is ready to leave."""

    mail_id: int
    message: EmailMessage
    is_last: bool


def prepare(
    session: Session, settings: Settings, mail_ids: Sequence[int]
) -> tuple[list[Letter], list[Ended]]:
    """What is to be sent, noted as `sending`, and what has ended without that.

    In the caller's transaction, which locks the mails; commit before they are sent.
    """
    mails = outbox.take(session, mail_ids)
    desk = _Desk(session, settings, list(mails.values()))
    letters: list[Letter] = []
    ended = [Ended(i, State.dropped, "mail gone") for i in mail_ids if i not in mails]
    for mail in mails.values():
        if mail.state is State.sent:
            ended.append(Ended(mail.id, State.sent, "already sent"))
            continue
        is_last = KINDS[mail.kind].is_last if mail.kind in KINDS else False
        try:
            letters.append(Letter(mail.id, desk.message(mail), is_last))
        except _Worthless as why:
            ended.append(Ended(mail.id, State.dropped, str(why), is_last=is_last))
        except (UndefinedError, ValueError) as error:
            # One mail that cannot be written must not hold up those beside it.
            ended.append(Ended(mail.id, State.refused, f"it cannot be written: {error}"))
    outbox.sending(session, {each.mail_id: str(each.message["Subject"]) for each in letters})
    return letters, ended


class _Desk:
    """Where mails are written: it has read what all of them need."""

    def __init__(self, session: Session, settings: Settings, mails: list[OutboxMail]) -> None:
        self._session = session
        self._settings = settings
        self._brand = Brand.of(settings)
        self._now: datetime = session.scalars(select(func.clock_timestamp())).one()
        self._codes = self._read(MailCode, [m.code_id for m in mails])
        self._invitations = self._read(Invitation, [m.invitation_id for m in mails])
        self._accounts = self._read(Account, [m.account_id for m in mails])

    def _read(self, model: Any, ids: list[int | None]) -> dict[int, Any]:
        wanted = {i for i in ids if i is not None}
        if not wanted:
            return {}
        found = self._session.scalars(
            select(model).where(model.id.in_(wanted)).execution_options(populate_existing=True)
        )
        return {one.id: one for one in found}

    def message(self, mail: OutboxMail) -> EmailMessage:
        """The mail as it leaves.

        Raises:
            _Worthless: it is no use any more.
        """
        if mail.expires_at is not None and self._now >= mail.expires_at:
            raise _Worthless("mail expired")
        kind, name, language = mail.kind, mail.recipient_name, mail.language
        values = {"link": f"{self._brand.home}{KINDS[kind].path}", **mail.values}
        if KINDS[kind].seeks and mail.code_id is None:
            account = self._sought(mail)
            if account is None:
                kind = NOT_FOUND
                values["link"] = f"{self._brand.home}{KINDS[kind].path}"
            else:
                name, language = account.name, account.language
        self._check_account(mail)
        if mail.code_id is not None:
            values |= self._about_code(mail)
        if mail.invitation_id is not None:
            values |= self._about_invitation(mail)
        rendered = render(kind, language, self._brand, **values, name=name, address=mail.recipient)
        return compose(
            rendered,
            sender=(self._settings.mail_brand, self._settings.mail_from),
            recipient=(name, mail.recipient),
            message_id=mail.message_id,
        )

    def _sought(self, mail: OutboxMail) -> Account | None:
        """Whose address it is, with a code made for them now: asking took the same time for all."""
        account = people.find(self._session, mail.recipient)
        if account is None:
            return None
        if account.disabled_at is not None:
            raise _Worthless("account disabled")
        code = codes.issue(self._session, account, Purpose(mail.kind), self._settings.code_minutes)
        self._session.refresh(code)
        self._codes[code.id] = code
        mail.code_id, mail.account_id, mail.recipient_name = code.id, account.id, account.name
        mail.language = account.language
        self._accounts[account.id] = account
        self._session.flush()
        return account

    def _check_account(self, mail: OutboxMail) -> None:
        account = self._accounts.get(mail.account_id or 0)
        if account is not None and account.disabled_at is not None:
            raise _Worthless("account disabled")

    def _about_code(self, mail: OutboxMail) -> dict[str, Any]:
        code: MailCode = self._codes[mail.code_id or 0]
        if why := codes.worthless(code, self._now):
            raise _Worthless(why)
        query = urlencode({"account": code.account_id, "token": code.code})
        return {
            "code": code.code,
            "link": f"{self._brand.home}{KINDS[mail.kind].path}?{query}",
            # Counted now: the mail may have waited for its turn.
            "minutes": codes.minutes_left(code.expires_at, self._now),
        }

    def _about_invitation(self, mail: OutboxMail) -> dict[str, Any]:
        invitation: Invitation = self._invitations[mail.invitation_id or 0]
        if why := invitations.worthless(invitation, self._now):
            raise _Worthless(why)
        return {
            "link": f"{self._brand.home}/join?{urlencode({'token': invitation.token})}",
            "hours": max(1, codes.minutes_left(invitation.expires_at, self._now) // 60),
        }
