"""How fast two warm children run no-op process jobs, beside the standard library's pool of processes."""

from functools import partial

from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import Server, server
from _sides import Side, SideFailed, Worker

METHOD = """\
No-op plain functions on two child processes: taskhub's worker claims each job from Postgres and stores its
outcome and history, ProcessPoolExecutor(2) gets each by `submit` in memory. The clock starts when the
children are warm (after 500 jobs) and ends with the last result, which for taskhub is stored. Pairs run A B
A B; the bar is on the lower quartile of the ratio within a pair."""


def rate(jobs: int, concurrency: int, postgres: Server) -> float:
    """Process jobs per second, from the database and back."""
    side = Side(name="taskhub, process", script="process", jobs=jobs)
    with postgres.database("process", lambda url: side.call("prepare", url)) as url:
        side.call("load", url, str(jobs))
        postgres.settle(url)
        return _rate(Worker(side.start("work", url, str(concurrency))), jobs)


def pool_rate(jobs: int) -> float:
    """Calls per second through a ProcessPoolExecutor."""
    side = Side(name="ProcessPoolExecutor", script="process", jobs=jobs)
    return _rate(Worker(side.start("pool", str(jobs))), jobs)


def _rate(worker: Worker, jobs: int) -> float:
    try:
        worker.wait_ready()
        worker.go()
        told = worker.result()
    finally:
        worker.end()
    if told["done"] != jobs:
        raise SideFailed(f"{told['done']} of {jobs} jobs were done")
    seconds: float = told["seconds"]
    return jobs / seconds


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=20_000, concurrency=50)
    report = Report("process_executor", "no-op process jobs, two children", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        ours = partial(rate, asked.jobs, asked.concurrency, postgres)
        found = control(ours, asked.pairs)
        report.note("taskhub: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        pairs = compare("ProcessPoolExecutor", ours, partial(pool_rate, asked.jobs), asked.pairs)
        report.note("ProcessPoolExecutor(2): jobs/s", str(Quartiles.of(pairs.second)))
        ratio = pairs.ratio
        report.at_least("taskhub / ProcessPoolExecutor", str(ratio), ratio.lower, 0.7)
    report.finish(asked)


if __name__ == "__main__":
    main()
