"""How fast one worker process drains no-op sync jobs, which run in threads, beside procrastinate."""

from functools import partial

import _peers
from _pairs import Quartiles, control
from _report import Report, options, progress
from _server import server
from _sides import best

METHOD = """\
As `drain`, with tasks that are plain functions: both workers run them in threads. procrastinate runs at
the best of three concurrencies with delete_jobs="successful", on fewer jobs. Pairs run A B A B; the bar
is on the lower quartile of the ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=20_000, procrastinate_jobs=2_000, concurrency=50)
    report = Report("threads", "no-op sync jobs, one worker process", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        ours = _peers.taskhub(asked.jobs, concurrency=asked.concurrency, kind="sync")
        rate = partial(ours.rate, postgres)
        found = control(rate, asked.pairs)
        report.note(f"{ours.name}: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        progress("looking for procrastinate's best concurrency")
        other = best(postgres, _peers.procrastinate(asked.procrastinate_jobs, kind="sync"))
        _peers.versus(report, postgres, rate, other, bar=10, pairs=asked.pairs)
    report.versions |= {"procrastinate": _peers.version("procrastinate")}
    report.finish(asked)


if __name__ == "__main__":
    main()
