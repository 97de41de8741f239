"""A client that makes the worker's calls and runs no task: claim, say that all succeeded, claim the next.

The first call is the worker's own code; the others repeat it with the ids of the jobs before, from
a loop of a few lines. What is left is the server's time and psycopg's.
"""

import argparse
import time

import psycopg
from _cues import tell, wait_for_go
from _side_taskhub import load, prepare
from _ticks import QUEUE, Claimer, Recorder

# As often as the worker looks at everything while its slots are full.
SWEEP_SECONDS = 1.0


def work(url: str, slots: int) -> None:
    """Take all jobs through claim and outcome."""
    done = 0
    wait_for_go()
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        recorder = Recorder(connection)
        jobs = [(job.id, job.claim) for job in Claimer(recorder).claim(slots).claimed]
        query, parameters = recorder.query.encode(), dict(recorder.parameters)
        parameters |= {"lane_queues": [QUEUE], "lane_priorities": [0]}
        swept_at = time.monotonic()
        while jobs:
            is_due = time.monotonic() - swept_at >= SWEEP_SECONDS
            if is_due:
                swept_at = time.monotonic()
            parameters |= {
                "done_ids": f"{{{','.join([str(job_id) for job_id, _ in jobs])}}}",
                "done_claims": f"{{{','.join([str(claim) for _, claim in jobs])}}}",
                "lane_from": [jobs[-1][0] + 1],
                "sweep": 2 if is_due else 1,
            }
            done += len(jobs)
            rows = connection.execute(query, parameters).fetchall()
            jobs = [(row[0], row[8]) for row in rows[:-1]]
    tell(done=done)


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
    working.add_argument("--slots", type=int, default=100)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        prepare(asked.url)
    elif asked.verb == "load":
        load(asked.url, asked.jobs, "async", 1, QUEUE)
    else:
        work(asked.url, asked.slots)


if __name__ == "__main__":
    main()
