"""What one call for 64 jobs saves, beside a call for each: plain functions and coroutines."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import server

METHOD = """\
As `drain`. A batch is the same no-op with batch=64: it is given up to 64 jobs in one call and says
nothing of them; each has its own history row, its fence and its two hooks, as the single jobs have.
Plain functions run in threads, coroutines on the loop. A single no-op coroutine costs the worker so
little that the server is what both sides wait for: what a batch saves there is bounded by
`null_client`. Pairs run A B A B; the bar is on the lower quartile of the ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=50_000, concurrency=200)
    report = Report("batch", "64 jobs a call, beside one", METHOD)
    side = partial(_peers.taskhub, asked.jobs, concurrency=asked.concurrency)
    with server() as postgres:
        report.server = postgres.described()
        for kind, what, bar in (("sync", "plain functions", 3.0), ("async", "coroutines", 1.0)):
            rate = partial(side(kind=f"batch_{kind}").rate, postgres)
            found = control(rate, asked.pairs)
            report.note(f"{what}, batch=64: jobs/s", str(Quartiles.of(found.first + found.second)))
            report.note(f"{what}, control: the same side twice", str(found.ratio))
            against = compare(what, rate, partial(side(kind=kind).rate, postgres), asked.pairs)
            report.note(f"{what}, single: jobs/s", str(Quartiles.of(against.second)))
            ratio = against.ratio
            report.at_least(f"{what}, batch=64 / single", str(ratio), ratio.lower, bar)
    report.finish(asked)


if __name__ == "__main__":
    main()
