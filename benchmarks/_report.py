"""What a benchmark found: a table on stdout, kept in docs/benchmarks.md after a full run."""

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
# A control further off than this, or a gain smaller than this, supports no claim.
NOISE = 0.15


def say(text: str) -> None:
    """To stdout: the answer."""
    sys.stdout.write(text + "\n")


def progress(text: str) -> None:
    """To stderr: that something moves."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


@dataclass(slots=True)
class Report:
    """The table of one benchmark.

    Attributes:
        method: how it was measured, in sentences for a reader who wants to repeat it.
        versions: what took part, beside Python, Postgres and taskhub.
    """

    name: str
    title: str
    method: str
    versions: dict[str, str] = field(default_factory=dict)
    server: str = ""
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def note(self, what: str, measured: str) -> None:
        """A row without a bar."""
        self.rows.append((what, measured, "", ""))

    def at_least(self, what: str, measured: str, value: float, bar: float) -> None:
        """A row whose `value` must reach `bar`."""
        self._judge(what, measured, f">= {bar:g}x", value >= bar, f"{1 - value / bar:.0%} below")

    def at_most(self, what: str, measured: str, value: float, bar: float, unit: str = "x") -> None:
        """A row whose `value` must stay within `bar`."""
        self._judge(
            what, measured, f"<= {bar:g}{unit}", value <= bar, f"{value / bar - 1:.0%} above"
        )

    def holds(self, what: str, measured: str, bar: str, *, met: bool) -> None:
        """A row that is right or wrong, nothing between."""
        self._judge(what, measured, bar, met, "")

    def _judge(self, what: str, measured: str, bar: str, met: bool, by: str) -> None:
        self.rows.append((what, measured, bar, "met" if met else f"**missed** {by}".rstrip()))
        if not met:
            self.missed.append(what)

    def markdown(self) -> str:
        """The section as it stands in the page."""
        lines = [f"## {self.name}: {self.title}", ""]
        lines += ["| what | measured | bar | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in self.rows]
        lines += ["", self.method, "", f"{_today()}, {machine()}. {self._versions()}."]
        return "\n".join(lines)

    def _versions(self) -> str:
        ours = {"Python": platform.python_version(), "taskhub": metadata.version("taskhub")}
        ours["psycopg"] = metadata.version("psycopg")
        named = ", ".join(
            f"{name} {version}" for name, version in {**ours, **self.versions}.items()
        )
        return f"{self.server}; {named}" if self.server else named

    def finish(self, asked: argparse.Namespace) -> None:
        """Print the table, keep it where asked, and exit with 1 if a bar was missed."""
        section = self.markdown()
        say(section)
        if asked.write:
            keep(self.name, section)
            progress(f"written into {PAGE.name}")
        sys.exit(1 if self.missed else 0)


def keep(name: str, section: str, page: Path = PAGE) -> None:
    """Put the section in the place of the benchmark's older one; a new one goes to the end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
    block = f"{begin}\n{section}\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        text = f"{text.rstrip()}\n\n{block}\n"
    page.write_text(pattern.sub(lambda _: block, text), encoding="utf-8")


def options(
    description: str,
    *,
    jobs: int,
    pairs: int = 7,
    given: Sequence[str] | None = None,
    **numbers: int,
) -> argparse.Namespace:
    """The command line of a benchmark: --jobs, --pairs, and an integer for each of `numbers`.

    `given` is what there is to read, in place of the program's own arguments.
    A run with other numbers than the defaults is a quick one; it is kept only with --write.
    """
    parser = argparse.ArgumentParser(description=description)
    defaults = {"jobs": jobs, "pairs": pairs, **numbers}
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=default, help=f"default: {default}")
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="keep the table in docs/benchmarks.md; default: if all numbers are the defaults",
    )
    asked = parser.parse_args(given)
    if asked.write is None:
        asked.write = all(getattr(asked, name) == default for name, default in defaults.items())
    return asked


def machine() -> str:
    """Processor, cores, memory and kernel, in one line."""
    cores = f"{os.cpu_count()} cores of {_processor()}"
    return f"{cores}, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    if sys.platform == "darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - a fixed command
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
