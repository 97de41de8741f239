"""Workers are killed, one after the other, while documents are renewed and segments imported."""

import dataclasses
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskhub import Hub, app
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.ways_in import changes, documents, segments
from taskhub.settings import Settings
from tests.faults.cluster import Cluster
from tests.faults.programs import Program
from tests.kb.makers import make_dataset
from tests.waiting import until

# A job that was lost five times is a dead letter: it may be what kills them.
KILLS = 3
ORPHANS = """
    SELECT (SELECT count(*) FROM taskhub_kb.segments s WHERE NOT EXISTS (
            SELECT FROM taskhub_kb.vectors_512 v WHERE v.segment_id = s.id)) AS bare,
        (SELECT count(*) FROM taskhub_kb.vectors_512) AS vectors,
        (SELECT count(*) FROM taskhub_kb.segments) AS segments,
        (SELECT count(*) FROM taskhub_kb.documents) AS documents,
        (SELECT count(*) FROM taskhub_kb.segment_edits) AS edits
"""


@pytest.fixture
def hub(cluster: Cluster) -> Iterator[Hub]:
    made = app.build(dataclasses.replace(Settings(), database_url=cluster.url))
    yield made
    made.close()


@pytest.fixture
def keepers(cluster: Cluster, programs: list[Program], tmp_path: Path) -> "Keepers":
    return Keepers(cluster.url, programs, tmp_path)


@dataclasses.dataclass
class Keepers:
    """Workers, of which one is there at any time."""

    url: str
    programs: list[Program]
    folder: Path

    def come(self) -> Program:
        log = self.folder / f"keeper-{len(self.programs)}.log"
        keeper = Program("keeper.py", self.url, log=log)
        self.programs.append(keeper)
        keeper.logs("worker started")
        return keeper

    def die(self, times: int) -> None:
        """Kill one after the other, each in the middle of what it does; the last one stays."""
        chance = random.Random(7)  # noqa: S311 - no secret depends on it
        for _ in range(times):
            keeper = self.come()
            threading.Event().wait(chance.uniform(0.05, 0.8))
            keeper.kill()
        self.come()


def add(hub: Hub, path: Path, text: str) -> int:
    path.write_text(text)
    with hub.transaction() as session:
        dataset_id = make_dataset(session, rule=ProcessRule(tokens=50, overlap_tokens=0)).id
    document_id = documents.add_document(hub, dataset_id, path)
    hub.run_worker(wait=False)
    return document_id


def test_each_imported_row_is_one_segment_however_often_the_worker_dies(
    hub: Hub, cluster: Cluster, keepers: Keepers, tmp_path: Path
) -> None:
    document_id = add(hub, tmp_path / "a.txt", "Otters swim.")
    rows = [f"Fact number {n} of the table." for n in range(2000)]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    told = segments.import_segments(hub, document_id, tmp_path / "rows.csv")

    keepers.die(KILLS)
    until(
        lambda: (
            cluster.rows("SELECT shown FROM taskhub_kb.segment_import_states")[0]["shown"]
            == "completed"
        ),
        "the end of the import",
        seconds=60,
    )

    found = cluster.rows(
        "SELECT position, text, state::text FROM taskhub_kb.segments ORDER BY position"
    )
    assert told.rows == len(rows)
    assert [row["text"] for row in found] == ["Otters swim.", *rows]
    assert [row["position"] for row in found] == list(range(2001))
    assert cluster.rows(ORPHANS) == [
        {"bare": 0, "vectors": 2001, "segments": 2001, "documents": 1, "edits": 0}
    ]


def test_a_search_finds_the_old_version_or_the_new_one_however_often_the_worker_dies(
    hub: Hub, cluster: Cluster, keepers: Keepers, tmp_path: Path
) -> None:
    old = " ".join(f"Old fact number {n} is about otters in the river." for n in range(1500))
    new = " ".join(f"New fact number {n} is about badgers in the wood." for n in range(2500))
    document_id = add(hub, tmp_path / "a.txt", old)
    seen: set[tuple[str, int]] = set()
    over = threading.Event()

    def look() -> None:
        with cluster.connect() as connection:
            while not over.wait(0.01):
                row = connection.execute(
                    "SELECT string_agg(DISTINCT left(s.text, 3), ' ') AS kinds, count(*) AS many"
                    " FROM taskhub_kb.segments s JOIN taskhub_kb.documents d ON d.id = s.document_id"
                    " WHERE d.id = %s AND d.enabled AND d.state = 'completed'"
                    " AND s.state = 'completed'",
                    (document_id,),
                ).fetchone()
                assert row is not None
                seen.add((row["kinds"], row["many"]))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        (tmp_path / "b.txt").write_text(new)
        changes.replace_document(hub, document_id, tmp_path / "b.txt")
        keepers.die(KILLS)
        until(
            lambda: cluster.rows("SELECT count(*) AS n FROM taskhub_kb.documents")[0]["n"] == 1,
            "the end of the old version",
            seconds=60,
        )
    finally:
        over.set()
        watcher.join()

    assert {kinds for kinds, _ in seen} == {"Old", "New"}
    assert len(seen) == 2
    [counts] = cluster.rows(ORPHANS)
    assert counts["bare"] == 0
    assert counts["vectors"] == counts["segments"] == max(n for kind, n in seen if kind == "New")
