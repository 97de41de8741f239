"""Settling: what a running job took of its key's tokens, against what it had reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskhub.queue import sql
from taskhub.queue.rates import MOST_TOKENS

if TYPE_CHECKING:
    from taskhub.queue.context import Context


def settle(context: Context, name: str, actual: float) -> None:
    """Tell the database, in a transaction of its own; see Context.settle."""
    parameters = _begin(context, name, actual)
    rows = context.hub.read("settle", **parameters)
    _look_at(context, name, rows[0])


async def settle_async(context: Context, name: str, actual: float) -> None:
    """As `settle`, on the event loop."""
    parameters = _begin(context, name, actual)
    query = sql.load("settle", context.hub.settings.schema)
    async with context.hub.async_engine.begin() as connection:
        result = await connection.exec_driver_sql(query, parameters)
        row = result.mappings().one()
    _look_at(context, name, row)


def _begin(context: Context, name: str, actual: float) -> dict[str, Any]:
    if type(actual) not in (int, float) or not 0 <= actual <= MOST_TOKENS:
        raise ValueError(f"actual must be a number from 0 to {MOST_TOKENS}, got {actual!r}")
    if context.is_settled:
        raise RuntimeError(f"job {context.job_id} has settled in this run already")
    # Before the statement: where its answer is lost it may have been stored, and must not count twice.
    context.is_settled = True
    return {
        "job_id": context.job_id,
        "claim": context.claim,
        "worker_id": context.worker_id,
        "name": name,
        "actual": float(actual),
    }


def _look_at(context: Context, name: str, row: Any) -> None:
    from taskhub.queue.context import ClaimLost

    if not row["is_held"]:
        raise ClaimLost(f"job {context.job_id} was given to another worker; nothing was settled")
    if row["key"] != name:
        context.is_settled = False
        raise ValueError(
            f"name must be the limit of job {context.job_id}, {row['key']!r}, got {name!r}"
        )
