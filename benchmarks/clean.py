"""What a large clean-up under running index jobs leaves behind, and what it does to others' searches."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import numpy
import psycopg
from _pairs import Quartiles, number
from _report import Report, options, progress
from _server import server
from pgvector import Vector
from pgvector.psycopg import register_vector
from sqlalchemy import func, select

from taskhub import Hub, app, migrations
from taskhub.accounts.tenants import ensure
from taskhub.kb.cleaning.orphans import orphans
from taskhub.kb.datasets import create
from taskhub.kb.datasets.clean import count
from taskhub.kb.documents.models import Document
from taskhub.kb.search import search
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.ways_in.datasets import delete_dataset
from taskhub.kb.ways_in.documents import add_document
from taskhub.queue import Job
from taskhub.settings import Settings

METHOD = """\
Dataset A has 100,000 segments with vectors and words in 100 documents; B has a fifth of that. Four more
documents of A are added, and when all four index jobs run in a worker of its own process, A is deleted
and cleaned by that worker. A searcher asks B (hybrid, limit 5, a warm connection, one question after
the other): while nothing else runs, with the four index jobs running ("before"), and again from the
deletion until the clean-up has ended. The bar is the median over the pairs of the ratio of the p95 within
a pair; each pair is a database of its own. Texts are made up; vectors are the hash embedder's width,
random around 1,000 centres."""

WIDTH = 512
WORDS = [f"{first}{second}" for first in ("ot", "bad", "riv", "clo", "key", "cel", "hou", "fis")
         for second in ("ter", "ger", "er", "ck", "lar", "se", "hing", "ding", "ness", "ly")]  # fmt: skip
JOBS = 4
SEARCHES = 200
PARAGRAPHS = 8000
BEGIN_SECONDS = 1800


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=JOBS, pairs=7, segments=100_000, paragraphs=PARAGRAPHS)
    report = Report("clean", "a dataset under four index jobs", METHOD)
    found: list[Once] = []
    with server(shared_buffers="512MB", max_wal_size="4GB") as postgres:
        report.server = postgres.described()
        for pair in range(asked.pairs):
            with postgres.database("clean", lambda url: _laid_out(url, asked.segments)) as url:
                found.append(_once(url, asked.jobs, asked.paragraphs))
            progress(f"pair {pair + 1}: {found[-1]}")
    report.note("search p95, nothing else running, ms", str(Quartiles.of([f.quiet for f in found])))
    report.note("search p95, index jobs running, ms", str(Quartiles.of([f.before for f in found])))
    report.note("search p95, clean-up too, ms", str(Quartiles.of([f.during for f in found])))
    seconds = Quartiles.of([f.seconds for f in found])
    report.note("clean-up, s", f"{seconds}, {number(asked.segments / seconds.median)} segments/s")
    ratio = Quartiles.of([f.during / f.before for f in found])
    report.at_most("search of another dataset, during / before", str(ratio), ratio.median, 1.5)
    left = sum(f.left for f in found)
    report.holds("rows without an owner, or left of the dataset", str(left), "0", met=left == 0)
    running = min(f.running for f in found)
    report.holds("index jobs that still ran at the deletion", str(running), str(asked.jobs),
                 met=running == asked.jobs)  # fmt: skip
    report.finish(asked)


def _laid_out(url: str, segments: int) -> None:
    hub = app.build(Settings(database_url=url))
    migrations.upgrade(hub.engine, hub.settings)
    with hub.transaction() as session:
        tenant = ensure(session, "bench")
        ids = [
            create.create(session, tenant.id, name, embedding_model="hash",
                          rule=ProcessRule(mode=Mode.CUSTOM, tokens=50, overlap_tokens=0)).id
            for name in ("a", "b")
        ]  # fmt: skip
        tenant_id = tenant.id
    hub.close()
    with psycopg.connect(url) as connection:
        register_vector(connection)
        for dataset_id, number_of in zip(ids, (segments, segments // 5), strict=True):
            _fill(connection, tenant_id, dataset_id, number_of)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _fill(connection: "psycopg.Connection", tenant_id: int, dataset_id: int, segments: int) -> None:
    random = numpy.random.default_rng(dataset_id)
    centres = random.normal(size=(1000, WIDTH)).astype(numpy.float32)
    per_document = max(segments // 100, 1)
    connection.execute(
        "INSERT INTO taskhub_kb.documents (dataset_id, tenant_id, name, format, state, completed_at, "
        "indexing_at, segments_total, segments_done) SELECT %s, %s, 'document ' || n, 'text', 'completed', "
        "now(), now(), %s, %s FROM generate_series(1, %s) AS n",
        (dataset_id, tenant_id, per_document, per_document, -(-segments // per_document)),
    )
    rows = connection.execute(
        "SELECT id FROM taskhub_kb.documents WHERE dataset_id = %s ORDER BY id", (dataset_id,)
    ).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE made (document_id bigint, position int, text text) ON COMMIT DROP"
        )
        with cursor.copy("COPY made FROM STDIN") as copy:
            for n in range(segments):
                words = " ".join(random.choice(WORDS, 30))
                copy.write_row(
                    (rows[n // per_document][0], n % per_document, f"{words} number {n}")
                )
        cursor.execute(
            "INSERT INTO taskhub_kb.segments (document_id, dataset_id, position, text, tokens, sha256, "
            "keywords, words, state, completed_at) SELECT document_id, %s, position, text, 32, "
            "encode(sha256(text::bytea), 'hex'), string_to_array(text, ' '), to_tsvector('english', text), "
            "'completed', now() FROM made RETURNING id",
            (dataset_id,),
        )
        ids = [row[0] for row in cursor.fetchall()]
        with cursor.copy(
            "COPY taskhub_kb.vectors_512 (segment_id, part, dataset_id, model, vector) "
            "FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.set_types(("int8", "int4", "int8", "text", "vector"))
            for n, segment_id in enumerate(ids):
                vector = centres[n % 1000] + random.normal(size=WIDTH).astype(numpy.float32) / 2
                copy.write_row(
                    (segment_id, 0, dataset_id, "hash", Vector(vector / numpy.linalg.norm(vector)))
                )
    connection.commit()
    progress(f"laid out {segments} segments")


@dataclass(frozen=True, slots=True)
class Once:
    """What one database showed: p95 of searches in milliseconds, the clean-up, what was left."""

    quiet: float
    before: float
    during: float
    seconds: float
    left: int
    running: int


def _once(url: str, jobs: int, paragraphs: int) -> Once:
    hub = app.build(Settings(database_url=url))
    with hub.transaction() as session:
        tenant_id = ensure(session, "bench").id
        a, b = (found.id for name in "ab" if (found := create.find(session, tenant_id, name)))
    try:
        with tempfile.TemporaryDirectory() as folder, _worker(url, jobs + 4):
            quiet = _asked(hub, b, lambda asked: asked > SEARCHES)
            ids = _add_documents(hub, a, Path(folder), jobs, paragraphs)
            before = _asked(hub, b, lambda asked: asked > SEARCHES)
            running = _running(hub, ids)
            started = time.perf_counter()
            job: Job[object] = Job(delete_dataset(hub, a) or 0, "clean_dataset", hub)
            with ThreadPoolExecutor(1) as pool:
                ended = pool.submit(job.result, 3600)
                during = _asked(hub, b, lambda _: ended.done())
            ended.result()
            seconds = time.perf_counter() - started
        with hub.transaction() as session:
            left = sum(orphans(session).values()) + sum(count(session, a).values())
    finally:
        hub.close()
    return Once(quiet, before, during, seconds, left, running)


def _add_documents(
    hub: Hub, dataset_id: int, folder: Path, jobs: int, paragraphs: int
) -> list[int]:
    """Long documents that are being indexed when this returns."""
    random = numpy.random.default_rng(7)
    ids = []
    for n in range(jobs):
        text = "\n\n".join(
            " ".join(random.choice(WORDS, 40)) + f" {n}-{m}." for m in range(paragraphs)
        )
        (folder / f"{n}.txt").write_text(text)
        ids.append(add_document(hub, dataset_id, folder / f"{n}.txt"))
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline:
        with hub.transaction() as session:
            done = session.scalars(select(Document.segments_done).where(Document.id.in_(ids))).all()
        if all(done):
            return ids
        time.sleep(0.1)
    raise SystemExit(
        f"the index jobs did not begin within {BEGIN_SECONDS} seconds; is the worker running?"
    )


def _running(hub: Hub, document_ids: list[int]) -> int:
    with hub.transaction() as session:
        found = select(func.count()).where(
            Document.id.in_(document_ids), Document.completed_at.is_(None)
        )
        return int(session.scalar(found) or 0)


@contextmanager
def _worker(url: str, concurrency: int) -> Iterator[None]:
    command = [sys.executable, "-m", "taskhub", "worker", "--app", "taskhub.app:hub",
               "--database-url", url, "--concurrency", str(concurrency)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _asked(hub: Hub, dataset_id: int, is_over: Callable[[int], bool]) -> float:
    """The 95th percentile of searches, in milliseconds, asked until it is over; a first one warms up."""
    random = numpy.random.default_rng(3)
    found: list[float] = []
    while len(found) < 2 or not is_over(len(found)):
        question = " ".join(random.choice(WORDS, 4))
        with hub.transaction() as session:
            session.connection()
            started = time.perf_counter()
            search(session, question, [dataset_id], limit=5)
            found.append((time.perf_counter() - started) * 1000)
    return quantiles(found[1:] if len(found) > 2 else found, n=20)[-1]


if __name__ == "__main__":
    main()
