"""`taskhub metrics`: the numbers of the whole queue, printed, written to a file, or served."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from taskhub.cli.errors import DATABASE, Failed
from taskhub.cli.options import Asked, say, verb


@verb(
    "metrics",
    examples=(
        "taskhub metrics",
        "taskhub metrics --textfile /var/lib/prometheus/node-exporter/taskhub.prom",
        "taskhub metrics --port 9464",
    ),
)
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them there, whole or not at all, for node_exporter.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Serve /metrics until stopped.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to serve them.")
def metrics(asked: Asked, textfile: Path | None, port: int | None, host: str) -> None:
    """Print the metrics of the whole queue once, in Prometheus' format; exit code 4 without a database.

    The metrics of a worker's process are served by itself: see `taskhub worker --probe-port`.
    """
    try:
        from prometheus_client import generate_latest, start_http_server, write_to_textfile

        from taskhub.telemetry import cluster
    except ModuleNotFoundError as error:
        raise Failed(
            f"metrics need {error.name}; run `pip install 'taskhub[prometheus]'`"
        ) from error
    hub, _ = asked.hub()
    collector = cluster.ClusterCollector(hub)
    registry = cluster.alone(collector)
    try:
        if port is not None:
            server, serving = start_http_server(port, host, registry)
            say(f"metrics of the cluster: http://{host}:{server.server_port}/metrics")
            serving.join()
        elif textfile is not None:
            write_to_textfile(str(textfile), registry)
        else:
            click.echo(generate_latest(registry).decode(), nl=False)
    finally:
        collector.close()
    if not collector.is_up:
        sys.exit(DATABASE)
