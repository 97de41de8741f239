"""Probes of a worker whose Postgres is stopped and comes back."""

from pathlib import Path

from tests.faults.cluster import Cluster
from tests.telemetry.test_probes import Probed


def test_an_outage_makes_a_worker_unready_and_not_dead(cluster: Cluster, tmp_path: Path) -> None:
    probed = Probed(tmp_path, cluster.url)
    try:
        probed.becomes("/readyz", 200)

        cluster.stop("immediate")

        probed.becomes("/readyz", 503)
        assert probed.get("/livez").status_code == 200
        assert probed.get("/startupz").status_code == 200
        assert "taskhub_cluster_up 0.0" in probed.becomes("/metrics/cluster", 200).text
        cluster.start()
        probed.becomes("/readyz", 200)
        assert "taskhub_db_errors_total 0.0" not in probed.get("/metrics").text
    finally:
        probed.end()
