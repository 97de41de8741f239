"""How near the worker comes to a client that makes the same calls and runs no task."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options, progress
from _server import server
from _sides import Side, best

METHOD = """\
The drain of `drain` against a client of thirty lines that calls the same server function with the same
parameters over a synchronous psycopg connection: it claims, says of all that they succeeded and claims
the next in one round trip, and runs nothing, keeps no log, calls no hook. It takes as many jobs a call
as the worker has slots, or half of that as the worker does, whichever is faster. Pairs run A B A B; the
bar is on the lower quartile of the ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=50_000, concurrency=200)
    report = Report("null_client", "the worker beside a client that runs nothing", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        ours = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        rate = partial(ours.rate, postgres)
        found = control(rate, asked.pairs)
        report.note(f"{ours.name}: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        progress("looking for the null client's best number of jobs a call")
        null = best(
            postgres,
            [
                Side(
                    name=f"null client, {slots} a call",
                    script="null",
                    jobs=asked.jobs,
                    work=("--slots", str(slots)),
                    left=_peers.TASKHUB.left,
                )
                for slots in (asked.concurrency // 2, asked.concurrency)
            ],
        )
        pairs = compare(null.name, rate, partial(null.rate, postgres), asked.pairs)
        report.note(f"{null.name}: jobs/s", str(Quartiles.of(pairs.second)))
        report.at_least(f"taskhub / {null.name}", str(pairs.ratio), pairs.ratio.lower, 0.7)
    report.finish(asked)


if __name__ == "__main__":
    main()
