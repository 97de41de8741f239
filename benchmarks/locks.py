"""What a lock on every job costs, beside jobs without and beside procrastinate on the same jobs."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options, progress
from _server import server
from _sides import best

METHOD = """\
As `drain`, but each job has one of 10,000 locks, taken in turns. Plain is the same number of jobs
without locks. procrastinate gets the same jobs with the same locks, runs at the best of three
concurrencies, and is stopped when the first 2,000 have run, because a run of all of them takes it many
minutes; its rate is that of these. Pairs run A B A B; the bars are on the lower quartile of the ratio
within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(
        __doc__ or "", jobs=50_000, locks=10_000, procrastinate_jobs=2_000, concurrency=200
    )
    report = Report("locks", "one lock per job", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        plain = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        locked = _peers.taskhub(
            asked.jobs, concurrency=asked.concurrency, kind="lock", locks=asked.locks
        )
        rate = partial(locked.rate, postgres)
        found = control(rate, asked.pairs)
        report.note(f"{asked.locks:,} locks: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        against = compare("plain", rate, partial(plain.rate, postgres), asked.pairs)
        report.note("plain: jobs/s", str(Quartiles.of(against.second)))
        report.at_least("locks / plain", str(against.ratio), against.ratio.lower, 0.5)
        progress("looking for procrastinate's best concurrency")
        other = best(
            postgres,
            _peers.procrastinate(
                asked.jobs,
                kind="lock",
                locks=asked.locks,
                stop_after=asked.procrastinate_jobs,
            ),
        )
        _peers.versus(report, postgres, rate, other, bar=30, pairs=asked.pairs)
    report.versions |= {"procrastinate": _peers.version("procrastinate")}
    report.finish(asked)


if __name__ == "__main__":
    main()
