"""The dashboard's own users: who they are, whether a password is theirs, how often it may be tried."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from taskhub.dashboard.roles import ROLES, Role
from taskhub.dashboard.seals import Seals
from taskhub.queue import Hub

SHORTEST_PASSWORD = 10
# What argon2 is given must not be as long as somebody likes.
LONGEST_PASSWORD = 1_000
LONGEST_NAME = 100
THROTTLE_SECONDS = 900.0
# Of one person from one place, of one person from anywhere, from one place with any name.
TRIES_HERE, TRIES_OF_NAME, TRIES_OF_PLACE = 5, 50, 30

_hasher = PasswordHasher()


class Throttled(Exception):
    """There were too many tries; the password was not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One of the dashboard's users."""

    name: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """Who has logged in; `sessions_from` is what a logout changes."""

    name: str
    role: Role
    sessions_from: float


def add(hub: Hub, name: str, role: Role, password: str) -> bool:
    """Add a user, or change one, which logs them out everywhere; whether they are new.

    Raises:
        ValueError: the name, the role or the password is none that can be.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"name must be 1 to {LONGEST_NAME} printable characters, got {name!r}")
    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, got {role!r}")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ValueError(
            f"password must be {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, got {len(password)}"
        )
    [row] = hub.write(
        "set_dashboard_user", name=name, role=role, password_hash=_hasher.hash(password)
    )
    return bool(row["is_new"])


def remove(hub: Hub, name: str) -> bool:
    """Remove a user with their sessions; whether there was one."""
    return hub.write_one("remove_dashboard_user", name=name) is not None


def every(hub: Hub) -> list[User]:
    """All users, by name."""
    return [User(**row) for row in hub.read("list_dashboard_users")]


def log_in(hub: Hub, name: str, password: str, place: str) -> Session | None:
    """The session of somebody whose password this is, or None.

    Every try is noted in the database before the password is looked at, so that several processes
    count together; those of a login that succeeds are forgotten.

    Raises:
        Throttled: there were too many of this name or from this `place`.
    """
    name, limits = name[:LONGEST_NAME], _limits(name[:LONGEST_NAME], place)
    hub.write("note_login", keys=list(limits), kept_seconds=THROTTLE_SECONDS)
    counted = hub.read("count_logins", keys=list(limits), within_seconds=THROTTLE_SECONDS)
    if any(row["tries"] > limits[row["key"]] for row in counted):
        raise Throttled
    row = hub.read_one("dashboard_user", name=name)
    # A name that nobody has must take as long as one that somebody has.
    known = _nobody() if row is None else row["password_hash"]
    try:
        _hasher.verify(known, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if row is None:
        return None
    hub.write("forget_logins", keys=list(limits))
    return Session(row["name"], cast(Role, row["role"]), row["sessions_from"])


def log_out(hub: Hub, name: str) -> None:
    """End all sessions of a user, in every browser."""
    hub.write("end_dashboard_sessions", name=name)


def seals(hub: Hub, secret: str | None) -> Seals:
    """What cookies are signed with: the setting's key, else the one that the database keeps."""
    if secret is not None:
        return Seals(secret.encode())
    row = hub.read_one("dashboard_key")
    if row is None:
        hub.write("make_dashboard_key", key=secrets.token_hex(32))
        row = hub.read_one("dashboard_key")
    if row is None:
        raise LookupError("the dashboard's key was removed as it was made")
    return Seals(str(row["key"]).encode())


def _limits(name: str, place: str) -> dict[str, int]:
    # A control character, so that no name can be mistaken for another key.
    return {
        f"{name}\x1f{place}": TRIES_HERE,
        f"name\x1f{name}\x1f": TRIES_OF_NAME,
        f"place\x1f{place}\x1f": TRIES_OF_PLACE,
    }


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_hex(16))
