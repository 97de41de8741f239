"""A bare loop over a pool: as many threads that make a transactional task's statements and commits.

The jobs are claimed before the clock starts; no worker, no arguments, no hooks.
"""

import argparse
import json
import threading
from itertools import count

import psycopg
from _cues import tell, wait_for_go
from _side_taskhub import SETTLE, load, prepare
from _ticks import QUEUE, SCHEMA, Claimer, Recorder
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from taskhub import db
from taskhub.queue import sql

CHECK = sql.load("check_claim", SCHEMA)
END = sql.load("ack_in_transaction", SCHEMA)
Claim = tuple[int, int, str]


def claim_all(url: str) -> tuple[int, list[Claim]]:
    """The worker's id, and what it claimed."""
    with psycopg.connect(url, autocommit=True) as connection:
        claimer = Claimer(Recorder(connection))
        claims: list[Claim] = []
        while taken := claimer.claim(1000, must_sweep=True).claimed:
            claims += [(job.id, job.claim, job.args) for job in taken]
        return claimer.worker_id, claims


def work(url: str, threads: int) -> None:
    """Take all jobs through their transaction."""
    worker_id, claims = claim_all(url)
    engine = create_engine(db.address(url), pool_size=threads)
    following = count()

    def loop() -> None:
        while (n := next(following)) < len(claims):
            job_id, claim, args = claims[n]
            known = {"job_id": job_id, "claim": claim, "worker_id": worker_id}
            with Session(engine) as session, session.begin():
                connection = session.connection()
                connection.exec_driver_sql(CHECK, known).scalar()
                session.execute(SETTLE, json.loads(args))
                ended = {**known, "extras": "[null]", "idle_milliseconds": "15000"}
                connection.exec_driver_sql(END, ended).one()

    wait_for_go()
    running = [threading.Thread(target=loop) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    tell(done=len(claims))


def main() -> None:
    """The command line that `_sides` speaks."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    loading = verbs.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("jobs", type=int)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("--threads", type=int, default=20)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        prepare(asked.url)
    elif asked.verb == "load":
        load(asked.url, asked.jobs, "transactional", 1, QUEUE)
    else:
        work(asked.url, asked.threads)


if __name__ == "__main__":
    main()
