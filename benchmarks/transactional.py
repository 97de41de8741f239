"""What a transactional task costs beside a bare loop that makes the same statements and commits."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import server
from _sides import Side

METHOD = """\
Sync tasks with transactional=True that insert one row, in one worker process, against as many threads
that take jobs which are claimed already through the same transaction on sessions of one pool: the check
of the claim, the INSERT, the job's end, the commit. Pairs run A B A B; the bar is on the lower quartile
of the ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=10_000, concurrency=20)
    report = Report("transactional", "tasks whose commit ends their job", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        ours = _peers.taskhub(asked.jobs, concurrency=asked.concurrency, kind="transactional")
        rate = partial(ours.rate, postgres)
        found = control(rate, asked.pairs)
        report.note(f"{ours.name}: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        bare = Side(
            name=f"bare loop, {asked.concurrency} threads",
            script="bare",
            jobs=asked.jobs,
            work=("--threads", str(asked.concurrency)),
            left=_peers.TASKHUB.left,
        )
        pairs = compare(bare.name, rate, partial(bare.rate, postgres), asked.pairs)
        report.note(f"{bare.name}: jobs/s", str(Quartiles.of(pairs.second)))
        report.at_least(f"taskhub / {bare.name}", str(pairs.ratio), pairs.ratio.lower, 0.6)
    report.finish(asked)


if __name__ == "__main__":
    main()
