"""PgBouncer in transaction mode, as an ordinary user on a loopback port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskhub.embedded.place import PORT
from tests.faults.cluster import Cluster
from tests.faults.programs import installed
from tests.waiting import until


@contextmanager
def bouncer(cluster: Cluster) -> Iterator[str]:
    """The url of the cluster's database through PgBouncer."""
    program = installed("pgbouncer", "pgbouncer")
    account = cluster.place.account
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="taskhub-bouncer-"))
    config = folder / "pgbouncer.ini"
    config.write_text(f"""
[databases]
taskhub = host={cluster.place.sockets} port={PORT} dbname=taskhub user=taskhub
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 10
""")
    if not account.is_caller:
        for path in (folder, config):
            os.chown(path, account.uid, account.gid)
    as_account = {} if account.is_caller else {"user": account.uid, "group": account.gid}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(config)], stderr=log, **as_account)  # type: ignore[call-overload]  # typeshed wants the names spelled out
    try:
        until(lambda: _answers(port), f"starting pgbouncer: {(folder / 'log').read_text()}")
        yield f"postgresql://taskhub@127.0.0.1:{port}/taskhub"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
