"""People with an address: who gets mails, and in which language."""

import unicodedata
from datetime import datetime
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from taskhub.db import Base


class BadAccount(ValueError):
    """An address, name or language that no account can have; the message says which and why."""


class AccountExists(ValueError):
    """An account has this address already, upper and lower case aside."""


class Language(StrEnum):
    """The languages that mails are written in."""

    en_us = "en-US"
    zh_hans = "zh-Hans"


class Account(Base):
    """One person; `verified_at` is when the address was proved to be theirs."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("language IN ('en-US', 'zh-Hans')", name="language"),
        Index("uq_accounts_email", func.lower(email), unique=True),
    )


def create(session: Session, email: str, name: str, language: str = Language.en_us) -> Account:
    """A new account, written in the caller's transaction; its address is not yet verified.

    Raises:
        BadAccount: the address, the name or the language cannot be used.
        AccountExists: the address is taken, also by an account that is being made right now.
    """
    values = {
        "email": checked_address(email),
        "name": _checked_name(name),
        "language": _checked_language(language),
    }
    # Two at once: the second waits for the first one's commit, then gets no row. A failed INSERT
    # would abort the caller's whole transaction.
    written = insert(Account).values(values).on_conflict_do_nothing().returning(Account)
    account = session.scalars(written).one_or_none()
    if account is None:
        raise AccountExists(f"an account with the address {values['email']} exists; log in instead")
    return account


def find(session: Session, email: str) -> Account | None:
    """The account with this address, upper and lower case aside; disabled ones too."""
    try:
        wanted = checked_address(email)
    except BadAccount:
        return None
    return session.scalars(
        select(Account).where(func.lower(Account.email) == func.lower(wanted))
    ).one_or_none()


def checked_address(email: str) -> str:
    """The address in its one normal form; whether anybody reads it only a mail can tell.

    Raises:
        BadAccount: it is no address.
    """
    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        why = str(error).rstrip(".")
        raise BadAccount(f"email must be an address, got {email!r}: {why}") from None


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 80:
        raise BadAccount(f"name must be 1 to 80 characters long, got {len(name)}")
    if any(_steers(character) for character in name):
        raise BadAccount(f"name must be one line without control characters, got {name!r}")
    # A stranger could register somebody else's address and have us mail them a link.
    if "://" in name or "www." in name.lower():
        raise BadAccount(f"name must hold no link, got {name!r}")
    return name


def _steers(character: str) -> bool:
    """Whether it breaks a line, is no text, or turns the reading direction."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
        "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    )


def _checked_language(language: str) -> str:
    try:
        return Language(language).value
    except ValueError:
        known = " or ".join(Language)
        raise BadAccount(f"language must be {known}, got {language!r}") from None
