"""A cluster, programs and doors for each fault test."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskhub import db
from taskhub.embedded.place import PORT
from tests.faults import bouncer as pgbouncer
from tests.faults import cluster as clusters
from tests.faults.cluster import Cluster, Mould
from tests.faults.programs import Program
from tests.faults.proxy import Proxy
from tests.waiting import until

Start = Callable[..., Program]


@pytest.fixture(scope="session")
def mould() -> Iterator[Mould]:
    with clusters.mould() as made:
        yield made


@pytest.fixture
def cluster(mould: Mould) -> Iterator[Cluster]:
    """A running Postgres of the test's own, migrated."""
    with mould.cast() as made:
        yield made


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    """A proxy in front of it."""
    made = Proxy(cluster.place.sockets / f".s.PGSQL.{PORT}")
    yield made
    made.close()


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[str]:
    """The url of PgBouncer in front of it, in transaction mode."""
    with pgbouncer.bouncer(cluster) as url:
        yield url


@dataclass(frozen=True, slots=True)
class Doors:
    """What holding jobs wait for."""

    folder: Path

    def open(self, name: str) -> None:
        (self.folder / name).touch()


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    folder = tmp_path / "doors"
    folder.mkdir()
    return Doors(folder)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[list[Program]]:
    """Whatever was started; what is left of it is killed at the end."""
    started: list[Program] = []
    yield started
    for program in started:
        program.clean_up()
        print(f"-- {program.process.args!r} said {program.heard[-20:]}\n{program.logged[-4000:]}")


@pytest.fixture
def start(cluster: Cluster, doors: Doors, programs: list[Program], tmp_path: Path) -> Start:
    """Starts a worker of the workshop, which has taken its lease on return.

    `start(url, environment=..., setting=...)`; the url is the cluster's own by default.
    """

    def run(url: str | None = None, **options: Any) -> Program:
        environment = options.pop("environment", None)
        asked = [f"{name}={value}" for name, value in options.items()]
        program = Program(
            "workshop.py", url or cluster.url, str(doors.folder), *asked,
            log=tmp_path / f"worker-{len(programs)}.log", environment=environment,
        )  # fmt: skip
        programs.append(program)
        program.logs("worker started")
        return program

    return run


@pytest.fixture
def start_plain(cluster: Cluster, doors: Doors, programs: list[Program], tmp_path: Path) -> Start:
    """Starts a worker of plain procrastinate on the cluster's other database."""

    def run(url: str | None = None, **options: float) -> Program:
        asked = [f"{name}={value}" for name, value in options.items()]
        program = Program(
            "plain_workshop.py", url or cluster.plain_url, str(doors.folder), *asked,
            log=tmp_path / f"plain-{len(programs)}.log",
        )  # fmt: skip
        programs.append(program)
        return program

    return run


class Jobs:
    """The jobs of one database, written and read by SQL alone."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = db.conninfo(db.address(url))
        self.table = f"{schema}.procrastinate_jobs"
        self._schema = schema

    def defer(self, task: str, queue: str = "work", **given: Any) -> int:
        """One job, committed; `columns` names other columns of its row."""
        columns = given.pop("columns", {})
        row = {"queue_name": queue, "task_name": task, "args": json.dumps(given), **columns}
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        insert = f"INSERT INTO {self.table} ({names}) VALUES ({places}) RETURNING id"
        with psycopg.connect(self.url) as connection:
            found = connection.execute(insert, list(row.values())).fetchone()
        assert found is not None
        return int(found[0])

    def one(self, query: str, *given: Any) -> Any:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(query, given or None).fetchone()
        return found[0] if found is not None else None

    def status(self, job_id: int) -> str:
        """The row's status; a row that has gone to the history counts as succeeded."""
        found = self.one(f"SELECT status::text FROM {self.table} WHERE id = %s", job_id)
        return str(found or "succeeded")

    def outcomes(self, job_id: int) -> str:
        """The outcomes of its attempts, in order."""
        query = (
            "SELECT coalesce(string_agg(outcome::text, ' ' ORDER BY claim), '') "
            f"FROM {self._schema}.attempts WHERE job_id = %s"
        )
        return str(self.one(query, job_id))

    def ends(self, job_id: int, outcomes: str, *, seconds: float = 60.0) -> None:
        """Wait until its attempts ended in exactly these ways."""
        seen = ""

        def matches() -> bool:
            nonlocal seen
            seen = self.outcomes(job_id)
            return seen == outcomes

        try:
            until(matches, f"outcomes {outcomes!r}", seconds=seconds)
        except AssertionError as error:
            status = self.status(job_id)
            reasons = self.one(
                "SELECT string_agg(concat_ws(': ', outcome, error_class, error_message), '; ') "
                f"FROM {self._schema}.attempts WHERE job_id = %s",
                job_id,
            )
            raise AssertionError(f"{error}; job {job_id} is {status}: {reasons}") from None

    def becomes(self, job_id: int, status: str, *, seconds: float = 60.0) -> None:
        until(lambda: self.status(job_id) == status, f"job {job_id}: {status}", seconds=seconds)

    def drained(self, *, seconds: float = 60.0) -> None:
        """Wait until no job waits or runs."""
        left = f"SELECT count(*) FROM {self.table} WHERE status IN ('todo', 'doing')"
        until(lambda: self.one(left) == 0, "the end of all jobs", seconds=seconds)


@pytest.fixture
def jobs(cluster: Cluster) -> Jobs:
    return Jobs(cluster.url, "taskhub")


@pytest.fixture
def plain_jobs(cluster: Cluster) -> Jobs:
    """The same in the database with procrastinate's own schema."""
    return Jobs(cluster.plain_url, "public")
