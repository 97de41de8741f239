"""How two and four worker processes drain no-op async jobs, beside one."""

from functools import partial

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import server

METHOD = """\
The jobs of `drain`, shared by two and by four worker processes, against one process with the same
number of jobs. The clock runs from the word to begin, given to processes that have started, until the
last of them has stored its last outcome. Pairs run A B A B; the bar is on the lower quartile of the
ratio within a pair."""


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=50_000, concurrency=200)
    report = Report("processes", "several worker processes", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        one = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        found = control(partial(one.rate, postgres), asked.pairs)
        report.note("one process: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        for processes in (2, 4):
            several = one.with_(processes=processes)
            pairs = compare(
                f"{processes} processes",
                partial(several.rate, postgres),
                partial(one.rate, postgres),
                asked.pairs,
            )
            report.note(f"{processes} processes: jobs/s", str(Quartiles.of(pairs.first)))
            ratio = pairs.ratio
            report.at_least(f"{processes} processes / one", str(ratio), ratio.lower, 0.8)
    report.finish(asked)


if __name__ == "__main__":
    main()
