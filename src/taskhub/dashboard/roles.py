"""Who may do what: four roles, each of which may do what the one before may."""

from typing import Literal, get_args

Role = Literal["none", "read", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


def covers(has: Role, needs: Role) -> bool:
    """Whether somebody with the role `has` may do what `needs` that role."""
    return ROLES.index(has) >= ROLES.index(needs)
