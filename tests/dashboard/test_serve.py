"""`taskhub dashboard` and `taskhub up` serve real pages on a real socket."""

import re
import signal
import subprocess
import sys

import httpx
import pytest

from taskhub import Hub
from taskhub.dashboard import serve
from taskhub.settings import BadSetting, Settings


def test_the_verb_serves_pages_until_it_is_told_to_stop(database: str) -> None:
    command = [sys.executable, "-m", "taskhub", "dashboard", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--database-url", database], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        address = next(
            found[1] for line in lines if (found := re.search(r"dashboard: (\S+)", line))
        )

        page = httpx.get(address)

        assert page.status_code == 200
        assert "Overview" in page.text
        assert page.headers.get("server") is None
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_a_dashboard_beside_something_else_ends_with_it(hub: Hub, database: str) -> None:
    settings = Settings(database_url=database, dashboard_port=0)
    told: list[str] = []

    with serve.beside(hub, settings, told.append):
        address = told[0].removeprefix("dashboard: ")
        assert httpx.get(address).status_code == 200

    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


@pytest.mark.parametrize("host", [".".join("0000"), "::", "10.1.2.3", "jobs.example.org"])
def test_without_users_it_refuses_to_be_open_to_others(hub: Hub, host: str) -> None:
    with pytest.raises(BadSetting, match="dashboard_host must be a loopback address"):
        serve.run(hub, Settings(dashboard_host=host, dashboard_port=0), print)


def test_a_port_that_is_taken_is_told(hub: Hub) -> None:
    taken = serve.listen(Settings(dashboard_port=0))
    port = taken.getsockname()[1]

    with pytest.raises(BadSetting, match=f"cannot listen on 127.0.0.1 port {port}"):
        serve.run(hub, Settings(dashboard_port=port), print)
    taken.close()
