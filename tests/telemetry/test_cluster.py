"""What the database says of the whole queue, as Prometheus would read it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from taskhub import Hub
from taskhub.telemetry import cluster, families
from taskhub.telemetry.cluster import ClusterCollector
from tests.cli.conftest import Run

Values = dict[tuple[str, ...], float]
Read = Callable[[str], Values]


@pytest.fixture
def shop(hub: Hub) -> Hub:
    """Two queues are declared; one has jobs in every state, the other one none."""

    @hub.task(name="send", queue="mail")
    def send() -> None: ...

    @hub.task(name="fail", queue="mail")
    def fail() -> None:
        raise ValueError("no")

    @hub.task(name="rest", queue="idle")
    def rest() -> None: ...

    @hub.cron("0 2 * * *")
    def nightly() -> None: ...

    return hub


@pytest.fixture
def collector(shop: Hub) -> Iterator[ClusterCollector]:
    made = ClusterCollector(shop)
    made._hub._settings = replace(shop.settings, metrics_cache_seconds=0)
    vars(made._hub).pop("settings", None)
    yield made
    made.close()


def read(collector: ClusterCollector) -> dict[str, Values]:
    text = generate_latest(cluster.alone(collector)).decode()
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_declared_queue_is_there_with_zeros_while_it_is_idle(
    collector: ClusterCollector,
) -> None:
    found = read(collector)

    assert found["taskhub_cluster_up"] == {(): 1}
    for queue in ("mail", "idle"):
        for state in ("ready", "scheduled", "running", "failed"):
            assert found["taskhub_queue_jobs"][queue, state] == 0
        assert found["taskhub_queue_oldest_ready_age_seconds"][queue,] == 0
        assert found["taskhub_queue_workers"][queue,] == 0
        assert found["taskhub_queue_slots"][queue,] == 0
        assert found["taskhub_queue_paused"][queue,] == 0


def test_jobs_are_counted_by_queue_and_state(shop: Hub, collector: ClusterCollector) -> None:
    shop.tasks["fail"].defer()
    shop.run_worker(wait=False)
    shop.tasks["send"].defer_many([{}] * 3)
    shop.tasks["send"].options(delay=3600).defer()
    shop.pause(queue="mail")

    found = read(collector)

    assert found["taskhub_queue_jobs"]["mail", "ready"] == 3
    assert found["taskhub_queue_jobs"]["mail", "scheduled"] == 1
    assert found["taskhub_queue_jobs"]["mail", "failed"] == 1
    assert found["taskhub_queue_oldest_ready_age_seconds"]["mail",] > 0
    assert found["taskhub_queue_paused"]["mail",] == 1
    assert found["taskhub_queue_paused"]["idle",] == 0
    assert found["taskhub_workers"]["live",] == 0


def test_a_queue_stays_when_its_last_job_is_gone(shop: Hub, collector: ClusterCollector) -> None:
    shop.tasks["send"].options(queue="rush").defer()
    assert read(collector)["taskhub_queue_jobs"]["rush", "ready"] == 1

    shop.run_worker(wait=False)

    assert read(collector)["taskhub_queue_jobs"]["rush", "ready"] == 0


def test_a_live_worker_brings_its_slots_to_its_queues(
    shop: Hub, collector: ClusterCollector
) -> None:
    async def look() -> dict[str, Values]:
        worker = shop.worker(queues=["mail"], name="box")
        turned = asyncio.Event()
        worker.pulse.on_turn.append(lambda _: turned.set())
        running = asyncio.create_task(worker.run())
        await turned.wait()
        found = await asyncio.to_thread(read, collector)
        worker.stop()
        await running
        return found

    found = asyncio.run(asyncio.wait_for(look(), 30))

    assert found["taskhub_queue_slots"] == {("mail",): 4, ("idle",): 0, ("default",): 0}
    assert found["taskhub_queue_workers"]["mail",] == 1
    assert found["taskhub_workers"]["live",] == 1
    assert found["taskhub_worker_heartbeat_age_seconds"]["box",] < 30
    assert found["taskhub_cron_lag_seconds"] == {("nightly",): 0} or any(
        name.endswith("nightly") for (name,) in found["taskhub_cron_lag_seconds"]
    )


def test_every_family_of_the_cluster_is_exposed(collector: ClusterCollector) -> None:
    text = generate_latest(cluster.alone(collector)).decode()

    for family in families.CLUSTER:
        assert f"# TYPE {family.name} {family.kind}" in text


def test_the_database_is_asked_once_in_the_cache_time(shop: Hub) -> None:
    collector = ClusterCollector(shop)
    asked: list[str] = []
    event.listen(
        collector._hub.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
    )

    read(collector)
    first = len(asked)
    for _ in range(5):
        read(collector)

    assert first > 0
    assert len(asked) == first
    assert collector._hub.engine.pool.status().startswith("Pool size: 1")
    collector.close()


def test_without_a_database_there_is_one_number_that_says_so(shop: Hub) -> None:
    away = Hub("postgresql://taskhub@127.0.0.1:1/nowhere", settings=shop.settings)

    assert read(ClusterCollector(away)) == {"taskhub_cluster_up": {(): 0}}


def test_the_command_prints_them_and_writes_them_for_node_exporter(
    command: Run, tmp_path: Path
) -> None:
    place = tmp_path / "taskhub.prom"

    printed = command("metrics")
    written = command("metrics", "--textfile", str(place))
    down = command("metrics", TASKHUB_DATABASE_URL="postgresql://taskhub@127.0.0.1:1/nowhere")

    assert printed.returncode == written.returncode == 0
    assert 'taskhub_queue_jobs{queue="mail",state="ready"} 0.0' in printed.stdout
    assert 'taskhub_queue_jobs{queue="mail",state="ready"} 0.0' in place.read_text()
    assert written.stdout == ""
    assert down.returncode == 4
    assert "taskhub_cluster_up 0.0" in down.stdout
