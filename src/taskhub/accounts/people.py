"""People with an address: who gets mails, and in which language."""

import unicodedata

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.accounts.models import Account, Language


class BadAccount(ValueError):
    """An address, name or language that no account can have; the message says which and why."""


class AccountExists(ValueError):
    """An account has this address already, upper and lower case aside."""


class UnknownAccount(ValueError):
    """There is no such account, or it is disabled."""


def create(session: Session, email: str, name: str, language: str = Language.en_us) -> Account:
    """A new account, written in the caller's transaction; its address is not yet verified.

    Raises:
        BadAccount: the address, the name or the language cannot be used.
        AccountExists: the address is taken, also by an account that is being made right now.
    """
    values = {
        "email": checked_address(email),
        "name": checked_name(name),
        "language": checked_language(language),
    }
    # Two at once: the second waits for the first one's commit, then gets no row. A failed INSERT
    # would abort the caller's whole transaction.
    written = insert(Account).values(values).on_conflict_do_nothing().returning(Account)
    account = session.scalars(written).one_or_none()
    if account is None:
        raise AccountExists(f"an account with the address {values['email']} exists; log in instead")
    return account


def find_or_create(session: Session, email: str, name: str, language: str) -> Account:
    """The account with this address, made if there is none; the same statements in either case.

    Raises:
        BadAccount: the address, the name or the language cannot be used.
    """
    values = {
        "email": checked_address(email),
        "name": checked_name(name),
        "language": checked_language(language),
    }
    session.execute(insert(Account).values(values).on_conflict_do_nothing())
    wanted = func.lower(Account.email) == func.lower(values["email"])
    return session.scalars(select(Account).where(wanted)).one()


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
    # Loaded here: tenants are kept without the extra that mails need.
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        why = str(error).rstrip(".")
        raise BadAccount(f"email must be an address, got {email!r}: {why}") from None


def checked_name(name: str) -> str:
    """The name without the blanks around it.

    Raises:
        BadAccount: it is empty, long, steers the terminal or the page, or holds a link.
    """
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


def checked_language(language: str) -> str:
    """The language, if mails are written in it.

    Raises:
        BadAccount: they are not.
    """
    try:
        return Language(language).value
    except ValueError:
        known = " or ".join(Language)
        raise BadAccount(f"language must be {known}, got {language!r}") from None
