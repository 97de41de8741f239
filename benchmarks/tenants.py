"""How long one document of one tenant waits behind ten thousand of another."""

import statistics
import tempfile
import time
from pathlib import Path

from _index_worker import Worker
from _report import Report, options, progress
from _server import server
from index import prepare

from taskhub import app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.ways_in import documents
from taskhub.settings import Settings

METHOD = """\
One tenant defers its documents, each of a page, for the hashing embedder; one worker process of four slots
works on them. Then another tenant defers a single document, again and again when the one before is
findable, while the first one's still wait. The time is from before its transaction until it is completed."""
PAGE = "Page {n}. " + "The keeper of the archive notes what came in and who has asked for it. " * 20
ROUNDS = 10
BAR_SECONDS = 10


def main() -> None:
    """Run it once, with some documents of the second tenant."""
    asked = options(__doc__ or "", jobs=10_000)
    report = Report("tenants", f"one document beside another tenant's {asked.jobs:,}", METHOD)
    with server() as postgres, tempfile.TemporaryDirectory() as folder:
        report.server = postgres.described()
        with postgres.database("tenants", prepare) as url:
            took, left = _run(url, Path(folder), asked.jobs)
    most = max(took)
    report.note("median, s", f"{statistics.median(took):.2f}")
    report.at_most("longest, s", f"{most:.2f}", most, BAR_SECONDS, " s")
    report.holds(
        "documents of the first tenant that still waited", f"{left:,}", "> 0", met=left > 0
    )
    report.finish(asked)


def _run(url: str, folder: Path, jobs: int) -> tuple[list[float], int]:
    hub = app.build(Settings(database_url=url))
    with hub.transaction() as session:
        large, small = (
            create.create(
                session, ensure(session, name).id, name, embedding_model="hash", rule=ProcessRule()
            ).id
            for name in ("large", "small")
        )
    for n in range(jobs):
        path = folder / f"{n}.txt"
        path.write_text(PAGE.format(n=n))
        documents.add_document(hub, large, path)
        if n % 2000 == 1999:
            progress(f"{n + 1:,} documents deferred")
    query = (
        "SELECT count(*) FROM taskhub_kb.documents WHERE dataset_id = %s AND state <> 'completed'"
    )

    def waiting(dataset_id: int) -> int:
        with hub.autocommit.connect() as connection:
            return int(connection.exec_driver_sql(query, (dataset_id,)).scalar_one())

    worker = Worker(url, "hash")
    took: list[float] = []
    for n in range(ROUNDS):
        path = folder / f"small-{n}.txt"
        path.write_text(PAGE.format(n=-n))
        began = time.monotonic()
        documents.add_document(hub, small, path)
        while waiting(small):
            time.sleep(0.01)
        took.append(time.monotonic() - began)
    left = waiting(large)
    worker.end()
    hub.close()
    return took, left


if __name__ == "__main__":
    main()
