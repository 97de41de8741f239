"""Boards, rules and units: they use names that are exported, SQL that runs, alerts that fire in time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import Connection

from taskhub import Hub
from taskhub.telemetry import cluster, families
from taskhub.telemetry.worker_metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib" / "prometheus"
BOARDS = sorted((ROOT / "contrib" / "grafana").glob("*.json"))
NAME = re.compile(r"(?<![\w:.])((?:taskhub|task|process)_\w+)(?=[{\[) \n,]|$)")


@pytest.fixture
def exported(hub: Hub) -> set[str]:
    """Every name that the real exposition of a worker and of the cluster has."""
    metrics = WorkerMetrics(hub)
    metrics.watch(hub.worker())
    collector = cluster.ClusterCollector(hub)
    text = (
        generate_latest(metrics.registry).decode()
        + generate_latest(cluster.alone(collector)).decode()
    )
    collector.close()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    kinds = {family.name: family for family in (*families.WORKER, *families.CLUSTER)}
    for name in list(names):
        if name in kinds:
            names.update(kinds[name].samples)
    return names


def queries(board: dict[str, Any], key: str) -> Iterator[str]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            if key in target:
                yield target[key]
    for variable in board["templating"]["list"]:
        if key == "expr" and variable["type"] == "query":
            yield variable["query"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_a_board_asks_for_nothing_that_is_not_exported(path: Path, exported: set[str]) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    asked = [name for query in queries(board, "expr") for name in NAME.findall(query)]

    assert asked or path.name == "sql.json"
    assert sorted(set(asked) - exported) == []


@pytest.mark.parametrize("name", ["rules.yml", "alerts.yml", "alerts_test.yml"])
def test_a_rule_asks_for_nothing_that_is_not_exported(name: str, exported: set[str]) -> None:
    asked = set(NAME.findall((RULES / name).read_text(encoding="utf-8")))

    assert len(asked) > 3
    assert sorted(asked - exported) == []


def test_every_exported_number_of_the_cluster_stands_on_a_board() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in BOARDS)

    assert [family.name for family in families.CLUSTER if family.name not in text] == [
        "taskhub_queue_paused",
        "taskhub_queue_workers",
    ]


def test_the_queries_of_the_board_without_prometheus_run(connection: Connection) -> None:
    board = json.loads((ROOT / "contrib" / "grafana" / "sql.json").read_text(encoding="utf-8"))
    asked = list(queries(board, "rawSql"))

    assert len(asked) == len(board["panels"])
    for query in asked:
        plain = re.sub(r"\$__timeFilter\((\S+)\)", r"\1 > now() - interval '3 hours'", query)
        connection.exec_driver_sql(plain).all()


def test_an_autoscaler_is_told_what_a_queue_wants(connection: Connection) -> None:
    query = (ROOT / "contrib" / "sql" / "wanted_slots.sql").read_text(encoding="utf-8")
    insert = "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) SELECT 'mail', 'send'"

    idle = connection.exec_driver_sql(query).scalar_one()
    connection.exec_driver_sql(f"{insert} FROM generate_series(1, 90)")
    unknown = connection.exec_driver_sql(query).scalar_one()
    connection.exec_driver_sql(
        "INSERT INTO taskhub.attempts "
        "(job_id, claim, attempt, outcome, queue_name, task_name, started_at, finished_at) "
        "VALUES (1, 1, 1, 'succeeded', 'mail', 'send', now() - interval '4 seconds', now())"
    )
    known = connection.exec_driver_sql(query).scalar_one()

    assert (idle, unknown, known) == (0, 2, 6)


def test_each_alert_has_a_page_and_unit_tests() -> None:
    alerts = re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text(encoding="utf-8"))
    runbooks = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    tests = (RULES / "alerts_test.yml").read_text(encoding="utf-8")

    assert len(alerts) == len(set(alerts)) >= 12
    for alert in alerts:
        assert f"## {alert}\n" in runbooks
        assert f"docs/runbooks.md#{alert.lower()}\n" in tests, f"nothing makes {alert} fire"
        assert re.search(rf"alertname: {alert}\n        exp_alerts: \[\]", tests), alert
