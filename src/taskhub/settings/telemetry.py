"""Metrics, probes, logs, traces: what a worker tells of itself."""

from dataclasses import dataclass, field
from itertools import pairwise

from taskhub.settings.kinds import BadSetting, choice, number

# From the quickest job to one that reads a library: half an hour and more.
RUN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800)


@dataclass(frozen=True, kw_only=True)
class TelemetrySettings:
    """Metrics, probes, logs, traces: what a worker tells of itself."""

    log_format: str = choice("auto", ("auto", "text", "json"))
    log_arguments: bool = False
    metrics_run_buckets_seconds: tuple[float, ...] = RUN_BUCKETS
    metrics_wait_buckets_seconds: tuple[float, ...] = WAIT_BUCKETS
    # How old the numbers of the cluster may be: however many ask, the database is asked once in it.
    metrics_cache_seconds: float = number(5.0, at_least=0)
    # A worker whose loop has not come round for so long is not alive.
    probe_live_seconds: float = number(90.0, above=0)
    probe_database_seconds: float = number(3.0, above=0)
    traces: bool = False
    # It may hold a key, and `config show` masks it.
    sentry_dsn: str | None = field(default=None, repr=False)
    sentry_environment: str | None = None


def check_buckets(settings: TelemetrySettings) -> None:
    """Refuse buckets that are no rising numbers.

    Raises:
        BadSetting: it names the setting.
    """
    for name in ("metrics_run_buckets_seconds", "metrics_wait_buckets_seconds"):
        buckets = getattr(settings, name)
        if not buckets or any(low >= high for low, high in pairwise((0.0, *buckets))):
            raise BadSetting(f"{name} must be rising numbers above 0, got {buckets}")
