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
    """A command that serves, a worker with probes by default, and the addresses that it printed."""

    def __init__(
        self, folder: Path, database: str, *command: str, addresses: int = 1, **variables: str
    ) -> None:
        (folder / "shop.py").write_text(SHOP)
        command = command or ("worker", "--probe-port", "0")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskhub", *command, "-A", "shop:hub"],
            cwd=folder,
            env=os.environ | {"TASKHUB_DATABASE_URL": database} | variables,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.urls: list[str] = []
        try:
            until(lambda: len(self._addresses()) >= addresses, "printing addresses", seconds=60)
        except AssertionError:
            self.end()
            raise
        self.urls = self._addresses()
        self.url = self.urls[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def _addresses(self) -> list[str]:
        return re.findall(r"http://127\.0\.0\.1:\d+", "".join(self.said))

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


def test_each_of_several_processes_has_an_address_of_its_own(tmp_path: Path, database: str) -> None:
    command = ("worker", "--processes", "2", "--probe-port", "0")
    probed = Probed(tmp_path, database, *command, addresses=2)

    exposed = [
        until(lambda url=url: _slots(url), "its metrics", seconds=60)  # type: ignore[misc]  # bound now
        for url in probed.urls
    ]
    probed.process.terminate()

    assert probed.process.wait(timeout=60) == 0
    assert len(set(probed.urls)) == 2
    assert exposed == ["20.0", "20.0"]
    probed.end()


def _slots(url: str) -> str:
    found = re.search(
        r"^taskhub_worker_slots (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE
    )
    return found[1] if found else ""


def test_one_command_for_one_machine_has_probes_beside_its_dashboard(
    tmp_path: Path, database: str
) -> None:
    command = ("up", "--probe-port", "0")
    up = Probed(tmp_path, database, *command, addresses=2, TASKHUB_DASHBOARD_PORT="0")
    [up.url] = re.findall(r"probes and metrics: (\S+)", "".join(up.said))

    up.becomes("/readyz", 200)
    live = up.get("/livez")
    up.process.terminate()

    assert up.process.wait(timeout=60) == 0
    assert (live.status_code, live.text) == (200, "ok\n")
    up.end()


def test_the_cluster_has_a_server_of_its_own(tmp_path: Path, database: str) -> None:
    served = Probed(tmp_path, database, "metrics", "--port", "0")

    text = served.get("/metrics").text
    served.end()

    assert 'taskhub_queue_jobs{queue="mail",state="ready"} 0.0' in text
    assert "taskhub_cluster_up 1.0" in text
