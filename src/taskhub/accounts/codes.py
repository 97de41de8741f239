"""Secrets that travel by mail: issued, kept until they are used, worth nothing afterwards."""

import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Text,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from taskhub.accounts.models import Account, Tenant
from taskhub.db import Base

# Six digits are a million guesses; five tries of each code leave a guesser 1 chance in 200,000.
MAX_TRIES = 5


class Purpose(StrEnum):
    """What a code proves; also the kind of the mail that carries it."""

    verify_email = "verify_email"
    reset_password = "reset_password"  # noqa: S105 - the name of a mail, no password
    login = "login"
    change_email_old = "change_email_old"
    change_email_new = "change_email_new"
    owner_transfer = "owner_transfer"
    delete_account = "delete_account"


class MailCode(Base):
    """One secret for one account and purpose.

    `address` is where it is mailed to, if not to the account's own; `tenant_id` and `to_account_id`
    are what an owner_transfer is about.

    `code` is empty as soon as it was used, replaced or guessed at too often: what is left of the
    row is history. At most one row of an account and purpose holds a code.
    """

    __tablename__ = "mail_codes"
    __table_args__ = (
        Index(
            "uq_mail_codes_account_id_purpose",
            "account_id",
            "purpose",
            unique=True,
            postgresql_where=text("code IS NOT NULL"),
        ),
        Index("ix_mail_codes_account_id_created_at", "account_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id, ondelete="CASCADE"))
    purpose: Mapped[Purpose] = mapped_column(Enum(Purpose, name="mail_purpose"))
    code: Mapped[str | None] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    address: Mapped[str | None] = mapped_column(Text)
    tenant_id: Mapped[int | None] = mapped_column(
        ForeignKey(Tenant.id, ondelete="CASCADE"), index=True
    )
    to_account_id: Mapped[int | None] = mapped_column(
        ForeignKey(Account.id, ondelete="CASCADE"), index=True
    )

    account: Mapped[Account] = relationship(
        lazy="joined", innerjoin=True, foreign_keys="MailCode.account_id"
    )


def issue(
    session: Session,
    account: Account,
    purpose: Purpose,
    minutes: int,
    *,
    address: str | None = None,
    tenant_id: int | None = None,
    to_account_id: int | None = None,
) -> MailCode:
    """A new code, good for `minutes`, in the caller's transaction; it replaces an older one.

    Six digits to type, or for reset_password a token to put into a link.
    """
    if minutes < 1:
        raise ValueError(f"minutes must be 1 or more, got {minutes}")
    # Two at once take turns: otherwise both would find no older code and collide on the index.
    session.execute(
        select(Account.id).where(Account.id == account.id).with_for_update(key_share=True)
    )
    session.execute(
        update(MailCode)
        .where(MailCode.account_id == account.id, MailCode.purpose == purpose)
        .where(MailCode.code.is_not(None))
        .values(code=None)
    )
    code = MailCode(
        account=account,
        purpose=purpose,
        code=_secret(purpose),
        expires_at=func.clock_timestamp() + timedelta(minutes=minutes),
        address=address,
        tenant_id=tenant_id,
        to_account_id=to_account_id,
    )
    session.add(code)
    session.flush()
    return code


def redeem(session: Session, account_id: int, purpose: Purpose, code: str) -> bool:
    """Whether `code` is the account's living one; it is used up by that.

    Commit also when the answer is no: the try is counted in the caller's transaction, and after
    the fifth wrong one the code is worth nothing.
    """
    return spend(session, account_id, purpose, code) is not None


def spend(session: Session, account_id: int, purpose: Purpose, code: str) -> MailCode | None:
    """As `redeem`, and the row tells what the code was about."""
    held = session.scalars(
        select(MailCode)
        .where(
            MailCode.account_id == account_id,
            MailCode.purpose == purpose,
            MailCode.code.is_not(None),
            MailCode.expires_at > func.clock_timestamp(),
        )
        # Two at once: the second waits here and then finds that the row holds no code any more.
        .with_for_update(of=MailCode)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if held is None or held.code is None:
        return None
    # As bytes: compare_digest takes only ASCII as text, and anything may be typed.
    right = hmac.compare_digest(held.code.encode(), code.strip().encode("utf-8", "replace"))
    held.tries += 1
    if right:
        held.used_at = func.clock_timestamp()
    if right or held.tries >= MAX_TRIES:
        held.code = None
    session.flush()
    return held if right else None


def verify(session: Session, account_id: int, code: str) -> bool:
    """Redeem the code of a verify_email mail: the address is the account's own from now on."""
    if not redeem(session, account_id, Purpose.verify_email, code):
        return False
    session.execute(
        update(Account)
        .where(Account.id == account_id, Account.verified_at.is_(None))
        .values(verified_at=func.now())
    )
    return True


def worthless(code: MailCode, at: datetime) -> str | None:
    """Why it is no use to mail this code any more, or None: it is good. `at` is the database's now."""
    if code.account.disabled_at is not None:
        return "account disabled"
    if code.used_at is not None:
        return "code used"
    if at >= code.expires_at:
        return "code expired"
    return "code replaced" if code.code is None else None


def minutes_left(until: datetime, at: datetime) -> int:
    """How long that is, in whole minutes, 1 or more."""
    return max(1, int((until - at).total_seconds() // 60))


def _secret(purpose: Purpose) -> str:
    if purpose is Purpose.reset_password:
        return secrets.token_urlsafe(32)
    return f"{secrets.randbelow(1_000_000):06d}"
