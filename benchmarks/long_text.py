"""What one document of 200 MB asks for: memory of each process, progress that moves, the time to a cancel."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]  # ships no types
from _index_worker import Worker
from _report import Report, options, progress
from _server import server
from index import prepare

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.documents import state
from taskhub.kb.documents.state import Condition
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.ways_in import documents
from taskhub.queue import Job
from taskhub.settings import Settings

METHOD = """\
One text of English sentences, none like another, is added to a dataset of the hashing embedder and read by
the child process of a worker. Every 0.1 s the resident memory of the worker and of its children is looked
at (the largest of any one process counts), and the job's progress. It is cancelled twice: once while it is
read or split, and once, indexed again, when vectors are made or `seconds` are over; the time is from
the wish until the document is shown as cancelled."""
SENTENCE = "Entry {n} of the register names the owner {a} of house {b}, who paid {c} for the roof in {d}.\n"
MOST_MB = 500
LOOK_SECONDS = 0.1
CANCEL_SECONDS = 2


def main() -> None:
    """Run it once: what it shows is no ratio."""
    asked = options(__doc__ or "", jobs=1, pairs=1, megabytes=200, seconds=900)
    report = Report("long_text", f"one text of {asked.megabytes} MB", METHOD)
    with server() as postgres, tempfile.TemporaryDirectory() as folder:
        report.server = postgres.described()
        path = _written(Path(folder), asked.megabytes)
        with postgres.database("long", prepare) as url:
            _run(report, url, path, asked.seconds)
    report.finish(asked)


def _written(folder: Path, megabytes: int) -> Path:
    path = folder / "register.txt"
    with path.open("w") as file:
        n = 0
        while file.tell() < megabytes * 1_000_000:
            lines = (
                SENTENCE.format(n=m, a=m * 7919 % 99991, b=m * 31 % 977, c=m * 13, d=1900 + m % 120)
                for m in range(n, n + 10_000)
            )
            file.write("".join(lines))
            n += 10_000
    return path


def _run(report: Report, url: str, path: Path, seconds: float) -> None:
    most = path.stat().st_size + 1
    os.environ["TASKHUB_MAX_FILE_BYTES"] = str(most)
    hub = app.build(Settings(database_url=url, max_file_bytes=most))
    with hub.transaction() as session:
        dataset_id = create.create(
            session, ensure(session, "bench").id, "long", embedding_model="hash", rule=ProcessRule()
        ).id
    with ExitStack() as stack:
        stack.callback(hub.close)
        worker = Worker(url, "hash")
        stack.callback(worker.end)  # also where it is not cancelled in time
        document_id = documents.add_document(hub, dataset_id, path)
        watch = Watch(hub, document_id, worker.pid)
        watch.until(lambda stage: stage in ("parsing", "splitting") and watch.moved > 20, seconds)
        early = watch.cancelled()
        documents.index_again(hub, document_id, force=True)
        watch.until(lambda stage: stage == "indexing" and watch.done > 2_000, seconds)
        late_stage, late = watch.stage, watch.cancelled()
    report.note("text", f"{path.stat().st_size / 1e6:.0f} MB; the second cancel at `{late_stage}`")
    report.at_most("largest process", f"{watch.most_mb:.0f} MB", watch.most_mb, MOST_MB, " MB")
    report.holds("progress was seen to move", f"{watch.moved:,} times in {watch.seconds:.0f} s",
                 "moves", met=watch.moved > 20)  # fmt: skip
    for name, took in (("first", early), ("second", late)):
        report.at_most(f"{name} cancel", f"{took:.2f} s", took, CANCEL_SECONDS, " s")


class Watch:
    """What is seen of a document's work, of the worker and of its children."""

    def __init__(self, hub: Hub, document_id: int, pid: int) -> None:
        self._hub, self._document_id = hub, document_id
        self._worker = psutil.Process(pid)
        self.most_mb = self.seconds = self.done = 0.0
        self.moved = 0
        self.stage = ""

    def until(self, is_there: Callable[[str], bool], seconds: float) -> None:
        """Look until the stage is reached, or so many seconds are over."""
        began = time.monotonic()
        said = began
        while time.monotonic() < began + seconds:
            self._look()
            if is_there(self.stage):
                break
            if time.monotonic() > said + 20:
                said = time.monotonic()
                progress(f"{self.stage}, {self.done:,.0f} done, {self.most_mb:.0f} MB")
            time.sleep(LOOK_SECONDS)
        self.seconds += time.monotonic() - began

    def cancelled(self) -> float:
        """Cancel the work; seconds until the document says so."""
        job_id = self._status().job_id
        if job_id is None:
            raise SystemExit("the document has no job")
        job: Job[object] = Job(job_id, "document", self._hub)
        began = time.monotonic()
        job.cancel(reason="benchmark")
        while self._status().condition is not Condition.CANCELLED:
            if time.monotonic() > began + 60:
                raise SystemExit(f"not cancelled within a minute: {self._status()}")
            time.sleep(0.01)
        return time.monotonic() - began

    def _status(self) -> state.DocumentStatus:
        with self._hub.transaction() as session:
            return state.status(session, self._document_id)

    def _look(self) -> None:
        for process in (self._worker, *self._worker.children(recursive=True)):
            try:
                self.most_mb = max(self.most_mb, process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        found = self._status()
        if found.condition is Condition.FAILED:
            raise SystemExit(f"the document failed: {found.shown}")
        self.stage = found.state
        if found.job_id is None:
            return
        job: Job[object] = Job(found.job_id, "document", self._hub)
        told = job.progress()
        done = told.done if told is not None else 0.0
        self.moved += done != self.done
        self.done = done


if __name__ == "__main__":
    main()
