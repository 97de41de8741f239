"""What a process counts of its hub's jobs, as Prometheus would read it."""

import asyncio
from dataclasses import replace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from taskhub import Backoff, Fail, Hub
from taskhub.telemetry import families
from taskhub.telemetry.worker_metrics import MOST_QUEUES, WorkerMetrics
from tests.telemetry.runs import run_out

Samples = dict[str, dict[tuple[str, ...], float]]


def read(metrics: WorkerMetrics) -> Samples:
    """The values by name and labels, as a scrape parses them."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            found.setdefault(sample.name, {})[tuple(labels.values())] = sample.value
    return found


def test_a_worker_counts_what_became_of_its_jobs(hub: Hub) -> None:
    metrics = WorkerMetrics(hub)

    @hub.task(name="send", queue="mail", retry=Backoff(max_attempts=2, first_seconds=0.001))
    def send(order: int) -> None:
        if order == 13:
            raise Fail("no such order")
        if order == 7:
            raise ValueError("try again")

    jobs = send.defer_many([{"order": n} for n in (1, 2, 7, 13)])
    worker = hub.worker(wait=False)
    metrics.watch(worker)
    asyncio.run(worker.run())
    run_out(hub, jobs[2])
    found = read(metrics)

    assert found["taskhub_jobs_deferred_total"] == {("mail", "send"): 4}
    assert found["taskhub_jobs_started_total"] == {("mail", "send"): 5}
    assert found["taskhub_jobs_finished_total"] == {
        ("succeeded", "mail", "send"): 2,
        ("failed", "mail", "send"): 2,
        ("retried", "mail", "send"): 1,
    }
    assert found["taskhub_job_retries_total"] == {("mail", "send"): 1}
    assert found["task_duration_seconds_count"] == {("send",): 5}
    assert found["taskhub_job_wait_seconds_count"] == {("mail",): 5}
    assert 0 <= found["taskhub_job_wait_seconds_sum"]["mail",] < 60
    assert found["taskhub_worker_slots"] == {(): 4}
    assert found["taskhub_worker_slots_busy"] == {(): 0}
    assert found["taskhub_db_errors_total"] == {(): 0}
    assert found["taskhub_fetch_duration_seconds_count"][()] >= 2
    assert found["process_resident_memory_bytes"][()] > 0


def test_every_family_of_a_process_is_exposed_under_its_name(hub: Hub) -> None:
    metrics = WorkerMetrics(hub)
    metrics.watch(hub.worker())

    text = generate_latest(metrics.registry).decode()

    for family in families.WORKER:
        name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
        assert f"# TYPE {name}" in text, family.name


def test_names_that_nobody_declared_are_one_series(hub: Hub) -> None:
    metrics = WorkerMetrics(hub)

    for number in range(MOST_QUEUES + 5):
        hub.tell_deferred(1, f"task_{number}", f"queue_{number}")

    counted = read(metrics)["taskhub_jobs_deferred_total"]
    assert {task for _, task in counted} == {"other"}
    assert counted["other", "other"] == 5
    assert len(counted) == MOST_QUEUES + 1


def test_two_hubs_of_a_process_count_apart(hub: Hub) -> None:
    other = Hub(settings=hub.settings)
    mine, theirs = WorkerMetrics(hub), WorkerMetrics(other)

    hub.tell_deferred(1, "send", "mail")

    assert "taskhub_jobs_deferred_total" in read(mine)
    assert "taskhub_jobs_deferred_total" not in read(theirs)


def test_buckets_are_a_setting(hub: Hub) -> None:
    hub._settings = replace(hub.settings, metrics_run_buckets_seconds=(1.0, 7.0))
    vars(hub).pop("settings")
    metrics = WorkerMetrics(hub)
    metrics.watch(hub.worker())

    text = generate_latest(metrics.registry).decode()

    assert 'taskhub_fetch_duration_seconds_bucket{le="7.0"}' in text
    assert 'taskhub_fetch_duration_seconds_bucket{le="10.0"}' not in text
