"""The page of all metrics, made of what is exported: `python -m taskhub.telemetry.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from taskhub.telemetry import families
from taskhub.telemetry.families import Family

HEAD = """\
# Metrics

Made by `python -m taskhub.telemetry.reference`; do not edit. What they are for: [monitoring](monitoring.md).
"""
WORKER = """\
## Of one process

Served by `taskhub worker --probe-port` under `/metrics`. Queues that nobody declares are `other` from the
201st on, so are tasks that the hub does not have. The usual `process_*` metrics come with them.
"""
CLUSTER = """\
## Of the whole queue

`taskhub metrics`, or `/metrics/cluster` of any worker: scrape one of them, not all. Every queue that is
declared or was seen once is always there, with zeros while it is idle.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD, WORKER, *_table(families.WORKER), "", CLUSTER, *_table(families.CLUSTER)]
    return "\n".join(parts) + "\n"


def _table(listed: Iterable[Family]) -> Iterator[str]:
    yield "| metric | kind | labels | |"
    yield "|---|---|---|---|"
    for family in listed:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(page())
