"""Wake-ups: what wakes a worker, and how deafness is found."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.waiting import until

from taskhub import Hub, db
from taskhub.db import BadAddress
from taskhub.queue.notify import TEST_PREFIX, Listener, listener
from taskhub.settings import Settings

NOWHERE = "postgresql://nobody@127.0.0.1:1/x"


@pytest.fixture
def conninfo(database: str) -> str:
    return db.conninfo(db.address(database))


@dataclass
class Ear:
    """A listener in an event loop of its own, and how often it woke."""

    listener: Listener | None = None
    wakes: int = 0

    @property
    def is_deaf(self) -> bool:
        assert self.listener is not None
        return self.listener.is_deaf

    @property
    def poll_seconds(self) -> float:
        assert self.listener is not None
        return self.listener.poll_seconds

    def wake(self) -> None:
        self.wakes += 1


@contextmanager
def listening(conninfo: str, **options: Any) -> Iterator[Ear]:
    ear = Ear()
    ear.listener = Listener(
        conninfo,
        "taskhub",
        ear.wake,
        **{"test_seconds": 0.2, "answer_seconds": 2.0, "slow_poll_seconds": 7.0} | options,
    )
    with in_a_loop(ear.listener.run()):
        yield ear


@contextmanager
def in_a_loop(*coroutines: Any) -> Iterator[None]:
    """Run them in another thread, cancel them at the end; one that ended by itself is a failure."""
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(one) for one in coroutines]
    ended: list[Any] = []

    def run() -> None:
        ended.extend(loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True)))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        thread.join(timeout=20)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * len(tasks)


@dataclass
class Pooler:
    """Passes everything on but, while muted, notifications; while closed, it hangs up at once."""

    target: dict[str, Any]
    is_muted: bool = False
    is_closed: bool = False
    port: int = 0
    is_open: threading.Event = field(default_factory=threading.Event)
    serving: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def conninfo(self) -> str:
        self.is_open.wait(10)
        changes = {"host": "127.0.0.1", "port": self.port}
        return make_conninfo(
            **self.target | changes, sslmode="disable", gssencmode="disable", hostaddr="127.0.0.1"
        )

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.is_open.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for one in self.serving:
                one.cancel()
            await asyncio.gather(*self.serving, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (serving := asyncio.current_task()) is not None:
            self.serving.add(serving)
            serving.add_done_callback(self.serving.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if not self.is_closed:
                behind, to_server = await self._connect()
                with contextlib.closing(to_server):
                    async with asyncio.TaskGroup() as pumps:
                        pumps.create_task(self._to_server(reader, to_server))
                        pumps.create_task(self._to_client(behind, writer))
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self.target.get("host", "127.0.0.1")), self.target.get("port", 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
                if not (head[:1] == b"A" and self.is_muted):
                    writer.write(head + body)
        except asyncio.IncompleteReadError:
            writer.close()


@pytest.fixture
def pooler(conninfo: str) -> Iterator[Pooler]:
    made = Pooler(conninfo_to_dict(conninfo))
    with in_a_loop(made.run()):
        yield made


def execute(conninfo: str, query: str, *values: object) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(query.encode(), values or None)


def notify(conninfo: str, payload: str) -> None:
    execute(conninfo, "SELECT pg_notify('taskhub', %s)", payload)


def listening_pids(conninfo: str) -> set[int]:
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        return {pid for (pid,) in rows}


def test_an_insert_in_plain_sql_wakes(conninfo: str) -> None:
    with listening(conninfo) as ear:
        until(lambda: not ear.is_deaf, "hearing")
        before = ear.wakes

        execute(
            conninfo,
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) VALUES ('mail', 'send')",
        )

        until(lambda: ear.wakes > before, "waking")


def test_it_wakes_once_when_it_begins_to_listen_since_something_may_have_come(
    conninfo: str,
) -> None:
    with listening(conninfo) as ear:
        until(lambda: not ear.is_deaf, "hearing")

        assert ear.wakes == 1


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "no json",
        '{"type": "abort_job_requested", "job_id": 1}',
        "x" * 7999,
        "名" * 2000,
        TEST_PREFIX,
        f"{TEST_PREFIX}forged"[:40],
    ],
    ids=["empty", "no json", "forged", "huge", "chinese", "prefix", "queue like a test"],
)
def test_any_payload_wakes_and_does_nothing_else(conninfo: str, payload: str) -> None:
    with listening(conninfo) as ear:
        until(lambda: not ear.is_deaf, "hearing")

        notify(conninfo, payload)

        until(lambda: ear.wakes == 2, "waking")
        assert not ear.is_deaf
        assert len(listening_pids(conninfo)) == 1


def test_a_payload_that_is_no_text_wakes_too(server: str, conninfo: str) -> None:
    execute(
        db.conninfo(db.address(server)),
        "CREATE DATABASE taskhub_test_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    ascii_database = make_conninfo(conninfo, dbname="taskhub_test_ascii")
    try:
        with listening(ascii_database) as ear:
            until(lambda: not ear.is_deaf, "hearing")

            execute(ascii_database, r"SELECT pg_notify('taskhub', E'\xff\xfe')")

            until(lambda: ear.wakes == 2, "waking")
            assert not ear.is_deaf
    finally:
        execute(db.conninfo(db.address(server)), "DROP DATABASE taskhub_test_ascii WITH (FORCE)")


def test_tests_of_hearing_wake_nobody(conninfo: str) -> None:
    with listening(conninfo, test_seconds=60) as quiet:
        until(lambda: not quiet.is_deaf, "hearing")

        with listening(conninfo, test_seconds=60) as other:
            until(lambda: not other.is_deaf, "the other's hearing")
        notify(conninfo, "mail")

        until(lambda: quiet.wakes == 2, "waking")
        assert other.wakes == 1


def test_a_listener_whose_backend_was_ended_hears_again(conninfo: str) -> None:
    with listening(conninfo) as ear:
        until(lambda: not ear.is_deaf, "hearing")
        first = listening_pids(conninfo)

        execute(conninfo, "SELECT pg_terminate_backend(%s)", *first)

        until(lambda: listening_pids(conninfo) - first, "listening again")
        until(lambda: not ear.is_deaf, "hearing again")
        before = ear.wakes
        notify(conninfo, "mail")
        until(lambda: ear.wakes > before, "waking")


def test_a_listener_ends_when_cancelled_just_as_something_comes(conninfo: str) -> None:
    async def cancelled_after(turns: int) -> bool:
        """Whether it ended, cancelled so many turns of the loop after a notification."""
        ear = Ear()
        made = Listener(conninfo, "taskhub", ear.wake, test_seconds=60)
        task = asyncio.create_task(made.run())
        await asyncio.to_thread(until, lambda: not made.is_deaf, "hearing")
        notify(conninfo, "mail")  # the loop stands still meanwhile
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=5)
        if not ended:
            task.cancel()
        return bool(ended)

    assert [asyncio.run(cancelled_after(turns)) for turns in range(8)] == [True] * 8


def test_deafness_is_found_told_once_and_found_to_be_over(
    pooler: Pooler, conninfo: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "taskhub.notify")
    pooler.is_muted = True
    with listening(pooler.conninfo, answer_seconds=0.3, fast_poll_seconds=0.5) as ear:
        until(lambda: ear.wakes >= 3, "testing three times")
        assert (ear.is_deaf, ear.poll_seconds) == (True, 0.5)

        pooler.is_muted = False
        until(lambda: not ear.is_deaf, "hearing")
        assert ear.poll_seconds == 7.0

        pooler.is_muted = True
        until(lambda: ear.is_deaf, "losing its hearing")
        assert ear.poll_seconds == 0.5

    told = [record.getMessage() for record in caplog.records if record.name == "taskhub.notify"]
    deaf = "notifications are not heard, polling instead"
    assert told == [deaf, "notifications are heard", deaf]


def test_a_listener_that_cannot_connect_goes_on_trying(pooler: Pooler) -> None:
    pooler.is_closed = True
    with listening(pooler.conninfo, fast_poll_seconds=0.5) as ear:
        until(lambda: ear.listener is not None and ear.listener._failures >= 1, "the first failure")
        assert (ear.is_deaf, ear.poll_seconds, ear.wakes) == (True, 0.5, 0)

        pooler.is_closed = False

        until(lambda: not ear.is_deaf, "hearing")


def test_listening_to_another_database_than_the_jobs_is_deafness(
    conninfo: str, empty_database: str
) -> None:
    elsewhere = db.conninfo(db.address(empty_database))
    with listening(elsewhere, jobs_conninfo=conninfo, answer_seconds=0.2) as ear:
        until(lambda: ear.wakes >= 2, "testing twice")

        assert ear.is_deaf


def test_a_test_that_cannot_be_sent_proves_nothing_and_jobs_still_wake(conninfo: str) -> None:
    with listening(conninfo, jobs_conninfo=NOWHERE, answer_seconds=0.1) as ear:
        until(lambda: listening_pids(conninfo), "listening")
        first = listening_pids(conninfo)

        notify(conninfo, "mail")

        until(lambda: ear.wakes == 2, "waking")
        assert ear.is_deaf
        assert listening_pids(conninfo) == first


def test_a_listener_that_is_switched_off_opens_no_connection(conninfo: str) -> None:
    ear = Ear()
    off = listener(Settings(notify=False, poll_seconds=0.7), NOWHERE, ear.wake)

    with in_a_loop(off.run()):
        assert off.poll_seconds == 0.7

    assert ear.wakes == 0


def test_the_settings_name_another_way_in_for_listening(conninfo: str, hub: Hub) -> None:
    url = hub.url.render_as_string(hide_password=False)
    ear = Ear()
    ear.listener = listener(Settings(listen_url=url, idle_poll_seconds=9), conninfo, ear.wake)

    with in_a_loop(ear.listener.run()):
        until(lambda: not ear.is_deaf, "hearing")
        assert ear.poll_seconds == 9


def test_a_listen_url_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(BadAddress, match="database must be PostgreSQL, got mysql"):
        listener(Settings(listen_url="mysql://x/y"), NOWHERE, lambda: None)


def test_a_test_that_is_cancelled_at_its_end_leaves_no_connection_open(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[psycopg.AsyncConnection[Any]] = []

    class Cancelled(psycopg.AsyncConnection[Any]):
        async def execute(self, *given: Any, **options: Any) -> Any:
            opened.append(self)
            done = await super().execute(*given, **options)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # takes effect where the task waits next
            return done

    monkeypatch.setattr(psycopg, "AsyncConnection", Cancelled)
    # psycopg gives the loop a turn, also where it has nothing to wait for, after so long.
    monkeypatch.setattr(psycopg.waiting, "MAX_BUSY_TIME", 0.0)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(Listener(conninfo, "taskhub", lambda: None)._send("a test"))

    [connection] = opened
    assert connection.closed
