"""What a limit of the whole fleet costs, beside jobs without one."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import server

METHOD = """\
As `drain`, but all jobs have one key whose limit is 50, so of a worker's slots at most 50 are ever in
use. Plain is the same number of jobs without a key on the same worker, all slots in use. Pairs run
A B A B; the bar is on the lower quartile of the ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=50_000, concurrency=200)
    report = Report("limits", "a fleet limit of 50 on one key", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        plain = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        limited = _peers.taskhub(asked.jobs, concurrency=asked.concurrency, kind="limit")
        rate = partial(limited.rate, postgres)
        found = control(rate, asked.pairs)
        report.note("limit of 50: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        against = compare("plain", rate, partial(plain.rate, postgres), asked.pairs)
        report.note("plain: jobs/s", str(Quartiles.of(against.second)))
        report.at_least("limit / plain", str(against.ratio), against.ratio.lower, 0.5)
    report.finish(asked)


if __name__ == "__main__":
    main()
