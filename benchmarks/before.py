"""How fast one worker drains no-op async jobs, beside the same worker at an earlier commit."""

import argparse
import compileall
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import _peers
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import server

ROOT = Path(__file__).parents[1]
# The engine alone: before executors, limits, schedules and all that a task can ask for.
ENGINE_ALONE = "d6fc9d0"
METHOD = """\
As `drain`, against the tree of an earlier commit ({commit}): its sources, its migrations, its side
program, the same interpreter and libraries. Pairs run A B A B; the bar is on the lower quartile of the
ratio within a pair."""


@contextmanager
def tree(commit: str) -> Iterator[Path]:
    """The files of a commit, in a directory of their own."""
    with tempfile.TemporaryDirectory() as place:
        wanted = ("src", "alembic", "benchmarks", "examples", "pyproject.toml")
        archive = subprocess.run(  # noqa: S603 - git, with a commit's name
            ["git", "archive", commit, *wanted],  # noqa: S607 - as in the user's shell
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        subprocess.run(["tar", "-x", "-C", place], input=archive.stdout, check=True)  # noqa: S603, S607
        # Or each of its processes would compile what ours find compiled.
        compileall.compile_dir(Path(place) / "src", quiet=1)
        yield Path(place)


def main() -> None:
    """Run the pairs."""
    asked, commit = _asked()
    report = Report(
        "before", f"plain no-op drain against commit {commit}", METHOD.format(commit=commit)
    )
    with server() as postgres, tree(commit) as earlier:
        report.server = postgres.described()
        now = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        before = now.with_(name=f"taskhub at {commit}", tree=earlier)
        rate = partial(now.rate, postgres)
        found = control(rate, asked.pairs)
        report.note("now: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        against = compare(before.name, rate, partial(before.rate, postgres), asked.pairs)
        report.note(f"{commit}: jobs/s", str(Quartiles.of(against.second)))
        report.at_least("now / before", str(against.ratio), against.ratio.lower, 0.85)
    report.finish(asked)


def _asked() -> tuple[argparse.Namespace, str]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--commit", default=ENGINE_ALONE)
    mine, rest = parser.parse_known_args()
    return options(__doc__ or "", jobs=50_000, concurrency=200, given=rest), mine.commit


if __name__ == "__main__":
    main()
