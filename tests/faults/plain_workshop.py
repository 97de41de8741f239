"""A worker of plain procrastinate, to show a fault before its absence is shown.

`python plain_workshop.py URL DOORS [option=value ...]`, the options being its worker's.
"""

import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Any

import procrastinate

url, doors = sys.argv[1], Path(sys.argv[2])
options: dict[str, Any] = {
    name: float(value) for name, value in (pair.split("=", 1) for pair in sys.argv[3:])
}
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))


async def opened(door: str) -> None:
    while not (doors / door).exists():  # noqa: ASYNC110 - the test that opens it is another process
        await asyncio.sleep(0.02)


@app.task(name="nothing")
async def nothing(**_: Any) -> None:
    """Do nothing."""


@app.task(name="answer", pass_context=True)
async def answer(context: procrastinate.JobContext, text: str) -> str:
    """Tell that it ran, and give back what was given."""
    print("running", context.job.id, flush=True)
    return text


@app.task(name="hold", pass_context=True)
def hold(context: procrastinate.JobContext, door: str) -> None:
    """Tell that it runs and wait for the door."""
    print("running", context.job.id, flush=True)
    while not (doors / door).exists():
        time.sleep(0.02)


@app.task(name="hold_async", retry=3, pass_context=True)
async def hold_async(context: procrastinate.JobContext, door: str) -> None:
    """The same on the event loop, with retries."""
    print("running", context.job.id, flush=True)
    await opened(door)


@app.task(name="hold_async_once", pass_context=True)
async def hold_async_once(context: procrastinate.JobContext, door: str) -> None:
    """The same without."""
    print("running", context.job.id, flush=True)
    await opened(door)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    app.run_worker(
        **{
            "concurrency": 4,
            "fetch_job_polling_interval": 0.1,
            "abort_job_polling_interval": 0.1,
            "update_heartbeat_interval": 0.25,
            "stalled_worker_timeout": 1.0,
            **options,
        }
    )
