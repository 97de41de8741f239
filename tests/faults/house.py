"""A knowledge base on a cluster of its own, in which one thing is interrupted and the rest must stay."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskhub import Hub, app
from taskhub.kb.cleaning.orphans import orphans
from taskhub.queue import Job, actions
from taskhub.settings import load
from tests.faults import gates
from tests.faults.cluster import Cluster, Mould
from tests.faults.programs import Program
from tests.waiting import until

# What the monitor and the cache write by themselves is no part of what was there.
BY_ITSELF = ("alembic_version", "alerts", "notices", "bookmarks", "job_statistics", "embeddings")


@dataclasses.dataclass
class House:
    """One worker is alive in it at a time; a test may end it and have another one come."""

    cluster: Cluster
    hub: Hub
    folder: Path
    environment: Mapping[str, str]
    workers: list[Program] = dataclasses.field(default_factory=list)

    def has_a_worker(self) -> Program:
        """The worker that lives, started if none does."""
        if not self.workers or not self.workers[-1].lives:
            log = self.folder / f"worker-{len(self.workers)}.log"
            worker = Program(
                "library.py", self.cluster.url, "0", log=log, environment=self.environment
            )
            self.workers.append(worker)
            worker.logs("worker started")
        return self.workers[-1]

    def snapshot(self, but: tuple[str, ...] = ()) -> dict[str, Any]:
        """The number and the sum of the rows of every table of the knowledge base."""
        tables = self.cluster.rows(
            "SELECT c.oid::regclass::text AS name, c.relname FROM pg_class AS c"
            " WHERE c.relnamespace = 'taskhub_kb'::regnamespace AND c.relkind = 'r' ORDER BY 1"
        )
        return {
            t["relname"]: self.cluster.one(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(row, '' ORDER BY row)), '')"
                f" FROM (SELECT md5(t::text) AS row FROM {t['name']} AS t) AS rows"
            )
            for t in tables
            if t["relname"] not in (*BY_ITSELF, *but)
        }

    def has_no_orphans(self) -> None:
        with self.hub.transaction() as session:
            assert orphans(session) == {}

    def ends(self, job: Job[Any], *, seconds: float = 60) -> str:
        """The status in which a job ends."""

        def status() -> str:
            found = job.status().value
            return "" if found in ("todo", "doing") else str(found)

        return until(status, f"the end of job {job.id}", seconds=seconds)

    def meets(self, fault: str, worker: Program) -> None:
        """The worker is killed and another one comes, or Postgres crashes and starts again."""
        if fault == "kill":
            worker.kill()
            self.has_a_worker()
        else:
            self.cluster.stop("immediate")
            self.hub.close()
            self.cluster.start()
            assert worker.lives

    def interrupt(
        self, fault: str, begin: Callable[[], Job[Any]], at: tuple[str, str, str]
    ) -> None:
        """Let the job that is begun run up to this statement, have the fault happen, and see it to its end.

        A job that somebody cancelled, or that was through before it heard of it, is retried.
        """
        with gates.held(self.cluster, *at) as open_gate:
            worker = self.has_a_worker()
            job = begin()
            gates.wait_at_the_gate(self.cluster)
            if fault == "cancel":
                job.cancel(reason="no longer wanted")
                gates.wait_until_heard()
            else:
                self.meets(fault, worker)
            open_gate()
            ended = self.ends(job)
        if fault == "cancel" and ended != "succeeded":
            actions.retry(self.hub, [job.id])
            ended = self.ends(job)
        assert ended == "succeeded", [a.error_message for a in job.attempts()]


@contextmanager
def house(mould: Mould, **environment: str) -> Iterator[House]:
    """A house with no worker yet; `environment` is what its workers are told beside its database."""
    told = {f"TASKHUB_{name.upper()}": value for name, value in environment.items()}
    with mould.cast() as cluster, tempfile.TemporaryDirectory(prefix="house-") as folder:
        hub = app.build(load({"database_url": cluster.url, **environment}))
        made = House(cluster, hub, Path(folder), {**os.environ, **told})
        try:
            yield made
        finally:
            for worker in made.workers:
                worker.clean_up()
                print(f"-- worker said {worker.logged[-4000:]}")
            hub.close()
