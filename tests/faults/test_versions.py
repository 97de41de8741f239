"""A worker and a schema that do not fit."""

from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.conftest import Doors, Jobs
from tests.faults.programs import Program


def test_a_worker_refuses_a_database_that_serves_newer_ones_only(
    cluster: Cluster, jobs: Jobs, doors: Doors, programs: list[Program], tmp_path: Path
) -> None:
    cluster.run("UPDATE taskhub.hub SET lowest_worker_version = 99")
    job_id = jobs.defer("nothing")

    worker = Program("workshop.py", cluster.url, str(doors.folder), log=tmp_path / "log")
    programs.append(worker)

    assert worker.ends() != 0
    assert "serves workers of version 99 and up" in worker.logged
    assert jobs.status(job_id) == "todo"
