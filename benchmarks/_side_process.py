"""Process tasks of taskhub, and the same function in a ProcessPoolExecutor, for `process_executor`.

Both begin to count when their children have started and run the first jobs.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor

from _cues import tell, wait_for_go

CHILDREN = 2
WARM_UP = 500


def load(url: str, jobs: int) -> None:
    """Defer the jobs."""
    os.environ["TASKHUB_DATABASE_URL"] = url
    from _process_tasks import hub, noop

    noop.defer_many([{"n": n} for n in range(jobs + WARM_UP)])
    hub.close()


def work(url: str, concurrency: int) -> None:
    """Run what is there to its end, all outcomes stored."""
    os.environ |= {"TASKHUB_DATABASE_URL": url, "TASKHUB_PROCESS_CHILDREN": str(CHILDREN)}
    os.environ["TASKHUB_PROCESS_MAX_JOBS"] = "1000000"
    from _process_tasks import hub

    done = 0
    began = 0.0

    def succeeded(_: object) -> None:
        nonlocal done, began
        done += 1
        if done == WARM_UP:
            began = time.monotonic()

    hub.on("job.succeeded", succeeded)
    _ = hub.engine
    wait_for_go()
    hub.run_worker(queues=["bench"], concurrency=concurrency, wait=False)
    tell(seconds=time.monotonic() - began, done=done - WARM_UP)


def pool(jobs: int) -> None:
    """The same number of calls, each submitted by itself, all results awaited."""
    from _process_tasks import plain

    with ProcessPoolExecutor(CHILDREN) as executor:
        wait_for_go()
        for future in [executor.submit(plain, n) for n in range(WARM_UP)]:
            future.result()
        began = time.monotonic()
        for future in [executor.submit(plain, n) for n in range(jobs)]:
            future.result()
        tell(seconds=time.monotonic() - began, done=jobs)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare").add_argument("url")
    loading = verbs.add_parser("load")
    loading.add_argument("url")
    loading.add_argument("jobs", type=int)
    working = verbs.add_parser("work")
    working.add_argument("url")
    working.add_argument("concurrency", type=int)
    verbs.add_parser("pool").add_argument("jobs", type=int)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        from _side_taskhub import prepare

        prepare(asked.url)
    elif asked.verb == "load":
        load(asked.url, asked.jobs)
    elif asked.verb == "work":
        work(asked.url, asked.concurrency)
    else:
        pool(asked.jobs)


if __name__ == "__main__":
    main()
