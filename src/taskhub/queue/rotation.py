"""From one secret key to the next: who still needs the old one, and jobs encrypted anew."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskhub.queue import keys, sealing, sql
from taskhub.queue.keys import BrokenSecret, Keyring, NoSecretKey

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.secrets")
JOBS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """One key and the jobs whose secrets are under it.

    Attributes:
        state: "first" encrypts, "known" decrypts, "missing" is not among the settings' keys.
        others: jobs that failed or were cancelled and can be retried.
    """

    key: str
    state: str
    waiting: int = 0
    running: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What became of one batch: how many jobs are under the first key now, and which cannot be."""

    jobs: int
    left: tuple[int, ...]


def key_use(hub: Hub) -> list[KeyUse]:
    """All keys of the settings and of jobs, the first one first; reads every job once."""
    ring = keys.keyring(hub.settings)
    counts: dict[str, dict[str, int]] = {key_id: {} for key_id in ring.ids}
    for row in hub.read("count_sealed"):
        kind = {"todo": "waiting", "doing": "running"}.get(row["status"], "others")
        of_key = counts.setdefault(row["key_id"], {})
        of_key[kind] = of_key.get(kind, 0) + row["jobs"]
    return [
        KeyUse(key=key_id, state=_state(ring, key_id), **count) for key_id, count in counts.items()
    ]


def _state(ring: Keyring, key_id: str) -> str:
    if key_id not in ring.ids:
        return "missing"
    return "first" if key_id == ring.first else "known"


def rotate(hub: Hub) -> Iterator[Rotated]:
    """Encrypt the secrets of jobs that do not run under the first key; one transaction a batch.

    A job that cannot be decrypted, or that somebody holds at the moment, stays as it is.

    Raises:
        NoSecretKey: there is no key.
    """
    ring = keys.keyring(hub.settings)
    schema, after = hub.settings.schema, 0
    asked = {"first": ring.first, "most": JOBS_AT_ONCE}
    while True:
        with hub.engine.begin() as connection:
            rows = connection.exec_driver_sql(
                sql.load("lock_sealed", schema), {**asked, "after": after}
            ).all()
            if not rows:
                return
            after = rows[-1].id
            anew = {row.id: _resealed(ring, row.task_name, row.args) for row in rows}
            done = {job_id: args for job_id, args in anew.items() if args is not None}
            connection.exec_driver_sql(
                sql.load("reseal_jobs", schema),
                {"job_ids": list(done), "args": list(done.values())},
            )
        yield Rotated(jobs=len(done), left=tuple(i for i in anew if i not in done))


def _resealed(ring: Keyring, task_name: str, args: Mapping[str, Any]) -> str | None:
    """The arguments with all secrets under the first key; None: one cannot be decrypted."""
    anew = dict(args)
    for name, value in args.items():
        stored = sealing.sealed_in(value)
        if stored is None or stored["key"] == ring.first:
            continue
        try:
            plain = sealing.unseal(ring, stored, task_name, name)
        except (NoSecretKey, BrokenSecret) as error:
            logger.warning(
                "secret not encrypted anew", extra={"argument": name, "reason": str(error)}
            )
            return None
        anew[name] = sealing.seal(ring, plain, task_name, name)
    return json.dumps(anew, ensure_ascii=False)
