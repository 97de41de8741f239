"""Get a tenant by name, made if it is new; whether somebody is in it."""

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.accounts.models import Member, Tenant


def ensure(session: Session, name: str) -> Tenant:
    """The tenant of this name; two sessions that make it at once get the same one.

    Raises:
        ValueError: the name is empty.
    """
    if not name.strip():
        raise ValueError(f"tenant name must not be empty, got {name!r}")
    session.execute(insert(Tenant).values(name=name).on_conflict_do_nothing())
    return session.scalars(select(Tenant).where(Tenant.name == name)).one()


def has_people(session: Session, tenant_id: int) -> bool:
    """Whether anybody is in the tenant."""
    return bool(session.scalar(select(exists().where(Member.tenant_id == tenant_id))))
