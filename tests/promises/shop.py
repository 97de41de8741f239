"""A small application in a process of its own, which the promises' tests kill wherever they like.

`python shop.py URL ROLE`: it says on stdout where it stands and then waits on stdin.
"""

import sys
import time

from sqlalchemy import text

from taskhub import Backoff, Context, Hub
from taskhub.settings import Settings

hub = Hub(
    settings=Settings(
        database_url=sys.argv[1],
        lease_seconds=1,
        poll_seconds=0.1,
        concurrency=2,
        drain_seconds=0.3,
    )
)


@hub.task(name="ship", queue="shop", retry=Backoff(max_attempts=3, first_seconds=0.1))
def ship(ctx: Context, order_id: int) -> None:
    """Note the order as shipped, in one transaction of the hub."""
    with hub.transaction() as session:
        session.execute(text("INSERT INTO shipped (order_id) VALUES (:id)"), {"id": order_id})


@hub.task(name="linger", queue="shop")
def linger(ctx: Context) -> None:
    """Tell that it runs; the first time it never ends by itself."""
    say(f"running {ctx.job_id} {ctx.claim}")
    while ctx.claim == 1:
        time.sleep(0.05)


@hub.task(name="kill_worker", queue="poison")
def kill_worker() -> None:
    """End the whole process, as the kernel does when memory is short."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def say(what: str) -> None:
    print(what, flush=True)


def order() -> None:
    """Write the order and its job in one transaction, stopping before and after the commit."""
    with hub.transaction() as session:
        session.execute(text("INSERT INTO orders (id) VALUES (1)"))
        ship.defer(1)
        say("written")
        sys.stdin.readline()
    say("committed")
    sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[2] == "order":
        order()
    else:
        hub.run_worker(queues=sys.argv[3:] or None)
