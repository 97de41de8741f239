"""Workers that are killed one after the other: `python slaughter.py URL KILLS SEED`.

They are forked from one interpreter that has everything loaded, so that hundreds die in a minute. Says
how many were killed when none is needed any more.
"""

import logging
import os
import random
import signal
import sys
import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub import Context, Hub, settings

url, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
AT_ONCE = 3


def make_hub() -> Hub:
    """A hub of the process that asks for it; connections do not outlive a fork."""
    quick = {"lease_seconds": "1", "poll_seconds": "0.05", "concurrency": "4"}
    hub = Hub(settings=settings.load({"database_url": url, **quick}))

    @hub.task(name="follow", queue="later")
    def follow(job_id: int) -> None: ...

    @hub.task(name="settle", queue="work", transactional=True, retry=10)
    def settle(ctx: Context, session: Session) -> int:
        session.execute(
            text("INSERT INTO effects (job_id, claim) VALUES (:job_id, :claim)"),
            {"job_id": ctx.job_id, "claim": ctx.claim},
        )
        follow.defer(ctx.job_id)
        session.execute(text("SELECT pg_sleep(0.003)"))
        return ctx.job_id

    return hub


def fork() -> int:
    """A worker's process id."""
    pid = os.fork()
    if pid == 0:
        logging.disable()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        make_hub().run_worker(queues=["work"])
        os._exit(0)
    return pid


def main() -> None:
    """Kill until it is enough, then let the last ones work to the end."""
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    alive = [fork() for _ in range(AT_ONCE)]
    for _ in range(kills):
        time.sleep(chance.uniform(0.01, 0.12))
        victim = alive.pop(0)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        alive.append(fork())
    print("killed", kills, flush=True)
    signal.sigwait({signal.SIGTERM})
    for pid in alive:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    make_hub()  # what it loads is loaded once
    main()
