"""A place in the database at which work is held until a test lets it go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.cluster import Cluster
from tests.waiting import until

GATE = 4711
# The worker hears of a request to stop within two seconds, and what it holds in a thread says nothing.
HEARD_SECONDS = 3.0


@contextmanager
def held(cluster: Cluster, table: str, event: str, condition: str) -> Iterator[Callable[[], None]]:
    """A statement that touches such a row of `table` waits until what is given is called; once alone."""
    cluster.run(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"PERFORM pg_advisory_xact_lock_shared({GATE}); "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )
    cluster.run(
        f"CREATE TRIGGER hold BEFORE {event} ON {table} FOR EACH ROW "
        f"WHEN ({condition}) EXECUTE FUNCTION hold()"
    )
    holder = cluster.connect()
    holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
    try:
        yield holder.close
    finally:
        holder.close()
        cluster.run("DROP FUNCTION IF EXISTS hold() CASCADE")


def wait_at_the_gate(cluster: Cluster) -> None:
    """Wait until a statement waits there."""
    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    )
    until(lambda: cluster.one(query, GATE), "work held at the gate", seconds=60)


def wait_until_heard() -> None:
    """Wait as long as a worker may take to hear of a request to stop."""
    heard = time.monotonic() + HEARD_SECONDS
    until(lambda: time.monotonic() > heard, "the worker's hearing of it")
