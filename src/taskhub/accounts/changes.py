"""What a person may change about themselves or their tenant, each proved by a code from a mail."""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.accounts import codes, members, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.members import BadMember
from taskhub.accounts.models import Account, Member, Role
from taskhub.accounts.people import AccountExists


class WrongCode(ValueError):
    """A code is not the one that was mailed, or is worth nothing any more."""


class StillOwner(ValueError):
    """An account cannot go while it owns a tenant that others are in."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An account whose address was changed."""

    account: Account
    old: str


def log_in(session: Session, email: str, code: str) -> Account | None:
    """The account that proves itself by a code from a login mail; None: it does not.

    Commit in either case. An address without an account costs the same as a wrong code.
    """
    account = people.find(session, email)
    wanted = account.id if account is not None and account.disabled_at is None else 0
    if not codes.redeem(session, wanted, Purpose.login, code) or account is None:
        return None
    # The code came by mail: the address is theirs.
    account.verified_at = account.verified_at or func.now()
    session.flush()
    return account


def living(session: Session, account_id: int) -> Account:
    """The account, locked against another change.

    Raises:
        UnknownAccount: there is none, or it is disabled.
    """
    account = session.get(Account, account_id, with_for_update=True, populate_existing=True)
    if account is None or account.disabled_at is not None:
        raise people.UnknownAccount(f"account {account_id} does not exist, or is disabled")
    return account


def move(session: Session, account_id: int, code: str) -> Moved | None:
    """Give an account the address that a change_email_new code was mailed to; None: wrong code.

    Commit in either case. Every other code of the account is worth nothing from then on: it was
    mailed to the old address.

    Raises:
        AccountExists: the address was taken in the meantime.
    """
    account = living(session, account_id)
    spent = codes.spend(session, account_id, Purpose.change_email_new, code)
    if spent is None or spent.address is None:
        return None
    if people.find(session, spent.address) not in (None, account):
        raise AccountExists(f"an account with the address {spent.address} exists by now")
    old, account.email, account.verified_at = account.email, spent.address, func.now()
    session.execute(
        update(MailCode)
        .where(MailCode.account_id == account_id, MailCode.code.is_not(None))
        .values(code=None)
    )
    session.flush()
    return Moved(account, old)


def check_transfer(session: Session, tenant_id: int, owner_id: int, to_account_id: int) -> Account:
    """The member who may become a tenant's owner.

    Raises:
        BadMember: `owner_id` does not own the tenant, or the other one is no member of it.
    """
    owner = session.get(Member, (tenant_id, owner_id))
    if owner is None or owner.role != Role.owner:
        raise BadMember(f"account {owner_id} does not own tenant {tenant_id}")
    if session.get(Member, (tenant_id, to_account_id)) is None or owner_id == to_account_id:
        raise BadMember(f"account {to_account_id} must be another member of tenant {tenant_id}")
    return living(session, to_account_id)


def transfer(session: Session, owner_id: int, code: str) -> MailCode | None:
    """Hand a tenant over as the spent code says; None: wrong code. Commit in either case.

    Raises:
        BadMember: the tenant changed hands, or the new owner left it, since the code was mailed.
    """
    spent = codes.spend(session, owner_id, Purpose.owner_transfer, code)
    if spent is None or spent.tenant_id is None or spent.to_account_id is None:
        return None
    members.hand_over(session, spent.tenant_id, owner_id, spent.to_account_id)
    return spent


def check_may_go(session: Session, account_id: int) -> None:
    """Refuse the deletion of an account that others depend on.

    Raises:
        StillOwner: it owns a tenant that others are in.
    """
    if owned := members.owned_with_others(session, account_id):
        named = ", ".join(map(str, owned))
        raise StillOwner(
            f"account {account_id} owns tenant {named}, which others are in; transfer it first"
        )


def give_up(session: Session, account_id: int, code: str) -> Account | None:
    """Disable an account that is to be deleted, at once; None: wrong code. Commit in either case.

    Raises:
        StillOwner: it owns a tenant that others are in; the code stays good.
    """
    account = living(session, account_id)
    check_may_go(session, account_id)
    if not codes.redeem(session, account_id, Purpose.delete_account, code):
        return None
    account.disabled_at = func.now()
    session.flush()
    return account


def by_ids(session: Session, ids: list[int]) -> dict[int, Account]:
    """Accounts by their ids; those that are gone are missing."""
    found = session.scalars(select(Account).where(Account.id.in_(ids)))
    return {account.id: account for account in found}
