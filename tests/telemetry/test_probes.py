"""Probes and metrics of a real worker process, over real HTTP."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from taskhub import db
from tests.waiting import until

SHOP = """
import time
from pathlib import Path
from taskhub import Hub

hub = Hub()


@hub.task(name="hold", queue="mail")
def hold(path: str) -> None:
    Path(path + ".started").touch()
    while not Path(path).exists():
        time.sleep(0.02)
"""
Get = Callable[[str], httpx.Response]


class Probed:
    """A worker of the command line and the address that it printed."""

    def __init__(self, folder: Path, database: str) -> None:
        (folder / "shop.py").write_text(SHOP)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskhub", "worker", "-A", "shop:hub", "--probe-port", "0"],
            cwd=folder,
            env=os.environ | {"TASKHUB_DATABASE_URL": database},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = until(self._address, "printing the address", seconds=60)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def _address(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", "".join(self.said))
        return found[0] if found else ""

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def becomes(self, path: str, code: int) -> httpx.Response:
        def there() -> list[httpx.Response]:
            answer = self.get(path)
            return [answer] if answer.status_code == code else []

        return until(there, f"{path} answering {code}", seconds=60)[0]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def probed(tmp_path: Path, database: str) -> Iterator[Probed]:
    started = Probed(tmp_path, database)
    yield started
    started.end()


def test_a_worker_is_live_started_and_ready_and_not_ready_while_it_drains(
    probed: Probed, tmp_path: Path, database: str
) -> None:
    path = tmp_path / "go on"
    probed.becomes("/startupz", 200)
    probed.becomes("/readyz", 200)
    assert probed.get("/livez").text == "ok\n"
    with psycopg.connect(db.conninfo(db.address(database))) as connection:
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args) "
            "VALUES ('mail', 'hold', jsonb_build_object('path', %s::text))",
            (str(path),),
        )
    until(path.with_suffix(".started").exists, "the start of the job", seconds=60)
    exposed = probed.get("/metrics")
    of_cluster = probed.get("/metrics/cluster")

    probed.process.send_signal(signal.SIGTERM)

    assert probed.becomes("/readyz", 503).text == "the worker drains\n"
    assert probed.get("/livez").status_code == 200
    path.touch()
    assert probed.process.wait(timeout=30) == 0
    assert exposed.headers["content-type"].startswith("text/plain; version=")
    assert "taskhub_worker_slots_busy 1.0" in exposed.text
    assert 'taskhub_jobs_started_total{queue="mail",task="hold"} 1.0' in exposed.text
    assert 'taskhub_queue_jobs{queue="mail",state="running"} 1.0' in of_cluster.text


def test_a_port_that_is_taken_is_told_in_one_line(
    probed: Probed, tmp_path: Path, database: str
) -> None:
    port = probed.url.rpartition(":")[2]

    ended = subprocess.run(
        [sys.executable, "-m", "taskhub", "worker", "-A", "shop:hub", "--probe-port", port],
        cwd=tmp_path,
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert f"error: probes cannot be served on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr
