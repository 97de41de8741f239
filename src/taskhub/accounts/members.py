"""Who is in which tenant, and what they may do there."""

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.accounts.models import Account, Member, Role, Tenant

_RANK = case({Role.admin: 1, Role.editor: 2}, value=Member.role, else_=3)


class BadMember(ValueError):
    """A person cannot be in a tenant as was asked; the message says why."""


def add(session: Session, tenant_id: int, account_id: int, role: str = Role.member) -> Member:
    """Put a person into a tenant; one who is in it already keeps the role they have.

    Raises:
        BadMember: there is no such role, or the tenant has an owner.
    """
    role = checked_role(role)
    if role == Role.owner and owner(session, tenant_id) is not None:
        raise BadMember(f"tenant {tenant_id} has an owner; transfer it instead")
    session.execute(
        insert(Member)
        .values(tenant_id=tenant_id, account_id=account_id, role=role)
        .on_conflict_do_nothing()
    )
    return session.get_one(Member, (tenant_id, account_id), populate_existing=True)


def owner(session: Session, tenant_id: int) -> Account | None:
    """The person who owns a tenant; None: it has no owner yet."""
    return session.scalars(
        select(Account)
        .join(Member, Member.account_id == Account.id)
        .where(Member.tenant_id == tenant_id, Member.role == Role.owner)
    ).one_or_none()


def set_role(session: Session, tenant_id: int, account_id: int, role: str) -> None:
    """Give a member another role; the owner's changes hands by a transfer alone.

    Raises:
        BadMember: no such role or member, or it would make or unmake an owner.
    """
    role = checked_role(role)
    found = _locked(session, tenant_id, account_id)
    if Role.owner in (role, found.role):
        raise BadMember("an owner is made by a transfer of the tenant, not by a change of roles")
    found.role = role
    session.flush()


def remove(session: Session, tenant_id: int, account_id: int) -> bool:
    """Take a person out of a tenant; False: they are not in it.

    Raises:
        BadMember: they own it.
    """
    found = session.get(Member, (tenant_id, account_id), with_for_update=True)
    if found is None:
        return False
    if found.role == Role.owner:
        raise BadMember(f"account {account_id} owns tenant {tenant_id}; transfer it first")
    session.execute(
        delete(Member).where(Member.tenant_id == tenant_id, Member.account_id == account_id)
    )
    return True


def hand_over(session: Session, tenant_id: int, old_id: int, new_id: int) -> None:
    """Make one member the owner and the one who was it an admin, in the caller's transaction.

    Raises:
        BadMember: `old_id` is not the owner any more, or `new_id` is no member.
    """
    old = _locked(session, tenant_id, old_id)
    new = _locked(session, tenant_id, new_id)
    if old.role != Role.owner:
        raise BadMember(f"account {old_id} does not own tenant {tenant_id}")
    # One after the other: the index allows no two owners, not even for a moment.
    old.role = Role.admin
    session.flush()
    new.role = Role.owner
    session.flush()


def owned_with_others(session: Session, account_id: int) -> list[int]:
    """The tenants that a person owns and others are in."""
    owned = (
        select(Member.tenant_id)
        .where(Member.account_id == account_id, Member.role == Role.owner)
        .scalar_subquery()
    )
    return list(
        session.scalars(
            select(Member.tenant_id)
            .where(Member.tenant_id.in_(owned))
            .group_by(Member.tenant_id)
            .having(func.count() > 1)
            .order_by(Member.tenant_id)
        )
    )


def leave_owned(session: Session, account_id: int) -> list[int]:
    """Give what a person owns to whoever is in it beside them; the tenants that nobody else is in.

    The next owner is an admin before an editor before a member, and of those who was there first. In
    the caller's transaction, which holds the rows of these tenants.
    """
    alone: list[int] = []
    owned = select(Member).where(Member.account_id == account_id, Member.role == Role.owner)
    for mine in session.scalars(owned.order_by(Member.tenant_id)).all():
        # Whoever joins now waits for the end of this.
        session.execute(select(Tenant.id).where(Tenant.id == mine.tenant_id).with_for_update())
        heir = session.scalars(
            select(Member)
            .where(Member.tenant_id == mine.tenant_id, Member.account_id != account_id)
            .order_by(_RANK, Member.created_at, Member.account_id)
            .limit(1)
        ).one_or_none()
        if heir is None:
            alone.append(mine.tenant_id)
        else:
            hand_over(session, mine.tenant_id, account_id, heir.account_id)
    return alone


def checked_role(role: str) -> str:
    """The role, if there is such a one.

    Raises:
        BadMember: there is not.
    """
    try:
        return Role(role).value
    except ValueError:
        *others, last = Role
        raise BadMember(f"role must be {', '.join(others)} or {last}, got {role!r}") from None


def _locked(session: Session, tenant_id: int, account_id: int) -> Member:
    found = session.get(
        Member, (tenant_id, account_id), with_for_update=True, populate_existing=True
    )
    if found is None:
        raise BadMember(f"account {account_id} is no member of tenant {tenant_id}")
    return found
