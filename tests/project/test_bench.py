"""The arithmetic and the page of the benchmarks; what they measure is theirs to say."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return imported("_pairs", monkeypatch)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return imported("_report", monkeypatch)


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__(name)


# Each is run as a program, but the libraries are loaded once for all of them.
ASK_ALL = """
import contextlib, io, json, runpy, sys
told = {}
for path in sys.argv[1:]:
    sys.argv, out = [path, "--help"], io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_path(path, run_name="__main__")
    told[path] = out.getvalue()
print(json.dumps(told))
"""


def test_every_benchmark_starts_and_says_what_it_asks() -> None:
    paths = [str(FOLDER / f"{program}.py") for program in PROGRAMS]

    said = subprocess.run(
        [sys.executable, "-c", ASK_ALL, *paths],
        env=os.environ | {"PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=True,
    )

    told = json.loads(said.stdout)
    assert list(told) == paths
    assert [path for path, text in told.items() if "--pairs" not in text] == []


def test_the_page_lists_every_benchmark() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == PROGRAMS


def test_sides_are_measured_in_turns(pairs: ModuleType) -> None:
    order: list[str] = []

    def side(name: str, rate: float) -> float:
        order.append(name)
        return rate

    found = pairs.compare("a and b", lambda: side("a", 10.0), lambda: side("b", 5.0), 3)

    assert order == ["a", "b"] * 3
    assert found.ratio.median == 2.0


def test_a_ratio_is_taken_within_each_pair(pairs: ModuleType) -> None:
    # The machine is half as fast in the second pair, for both sides.
    found = pairs.Comparison(first=[100.0, 50.0, 100.0], second=[50.0, 25.0, 50.0])

    assert str(found.ratio) == "2.00 (2.00-2.00)"


def test_one_run_is_its_own_quartiles(pairs: ModuleType) -> None:
    assert pairs.Quartiles.of([7.0]) == pairs.Quartiles(7.0, 7.0, 7.0)


def test_a_missed_bar_is_told_with_its_distance(report: ModuleType) -> None:
    told = report.Report("speed", "how fast", "By looking.")

    told.at_least("ours / theirs", "30.0", 30.0, 40)
    told.at_most("share", "3.00", 3.0, 2, unit="%")
    told.at_least("ours / others", "41.0", 41.0, 40)

    assert told.missed == ["ours / theirs", "share"]
    assert "| ours / theirs | 30.0 | >= 40x | **missed** 25% below |" in told.markdown()
    assert "| share | 3.00 | <= 2% | **missed** 50% above |" in told.markdown()
    assert "| ours / others | 41.0 | >= 40x | met |" in told.markdown()


def test_a_section_replaces_its_older_self_alone(report: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\nWords.\n")

    for name, section in (("one", "old"), ("two", "its"), ("one", r"new \1")):
        report.keep(name, section, page)

    assert page.read_text() == (
        "# Benchmarks\n\nWords.\n\n"
        "<!-- begin one -->\nnew \\1\n<!-- end one -->\n\n"
        "<!-- begin two -->\nits\n<!-- end two -->\n"
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [([], True), (["--jobs", "5"], False), (["--jobs", "5", "--write"], True)],
)
def test_only_a_full_run_is_kept_unasked(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, given: list[str], kept: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *given])

    asked: argparse.Namespace = report.options("", jobs=10)

    assert asked.write is kept
