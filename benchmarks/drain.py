"""How fast one worker process drains no-op async jobs, beside procrastinate, pgqueuer and Celery."""

from contextlib import ExitStack
from functools import partial

import _peers
import _redis
from _pairs import Quartiles, control
from _report import Report, options, progress
from _server import server
from _sides import Side, best

METHOD = """\
Each side drains no-op jobs that were loaded before, in a database and a process of its own, swept and
checkpointed first; the clock runs from the start of the worker's work (interpreter and imports are
done) until its last outcome is stored. taskhub keeps a history row with arguments and times of each
job, fences each outcome and calls a hook at each start and success; procrastinate deletes successful
jobs, its fastest setting, at the best of three concurrencies; pgqueuer keeps its log, with uvloop, as
its own command line has it; Celery's worker is warm before the queue is opened to it, stores results,
and its Redis writes nothing to disk. Slower sides get fewer jobs, and rates are compared. Pairs run A B
A B; the bar is on the lower quartile of the ratio within a pair; a ratio within 15 % of 1, or of the
control, says nothing."""


def main() -> None:
    """Run the pairs."""
    asked = options(
        __doc__ or "", jobs=50_000, procrastinate_jobs=2_000, celery_jobs=5_000, concurrency=200
    )
    report = Report("drain", "no-op async jobs, one worker process", METHOD)
    with server() as postgres, ExitStack() as stack:
        report.server = postgres.described()
        ours = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        rate = partial(ours.rate, postgres)
        found = control(rate, asked.pairs)
        report.note(f"{ours.name}: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        progress("looking for procrastinate's best concurrency")
        others: list[tuple[Side, float]] = [
            (best(postgres, _peers.procrastinate(asked.procrastinate_jobs)), 40),
            (_peers.pgqueuer(asked.jobs, batch=200), 1.3),
        ]
        if _redis.binary():
            stack.enter_context(_redis.redis_server())
            progress("looking for Celery's best pool")
            others.append((best(postgres, _peers.celery(asked.celery_jobs)), 20))
            report.versions |= {"celery": _peers.version("celery"), "Redis": _redis.version()}
        else:
            report.note("celery", "left out: there is no redis-server here")
        for other, bar in others:
            _peers.versus(report, postgres, rate, other, bar=bar, pairs=asked.pairs)
    names = ("procrastinate", "pgqueuer", "asyncpg")
    report.versions |= {name: _peers.version(name) for name in names}
    report.finish(asked)


if __name__ == "__main__":
    main()
