"""A proxy between a program and the server, which breaks connections where the test says."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import until

# ReadyForQuery: the last message of every answer; what stands before it has been committed.
READY = b"Z\x00\x00\x00\x05"


@dataclass(slots=True)
class Fault:
    """One break, at the first message that has the text in it.

    `forward` passes a request on and withholds the answer: done, but the client never learns it.
    """

    text: bytes
    of: str  # "request" or "answer"
    forward: bool
    after: bytes = b""  # a request that the same connection made before
    happened: threading.Event = field(default_factory=threading.Event)


class _Pair:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.said = b""
        self.withheld: Fault | None = None
        self.is_frozen = False

    def reset(self) -> None:
        """Close both sides, the client's with a TCP reset."""
        sock = self.client.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Listens on a loopback port and forwards to the server's socket, in a thread of its own."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._pairs: set[_Pair] = set()
        self._faults: list[Fault] = []
        self._refuses = False
        self._freezes = False
        self._delay_seconds = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql://taskhub@127.0.0.1:{self.port}/taskhub"

    @property
    def plain_url(self) -> str:
        """The database with procrastinate's own schema."""
        return f"postgresql://taskhub@127.0.0.1:{self.port}/plain"

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def cut(self) -> None:
        """Reset every connection there is; new ones pass."""

        def reset() -> None:
            for pair in self._pairs:
                pair.reset()

        self._call(reset)

    def refuse(self) -> None:
        """Reset every connection, and each new one."""
        self._refuses = True
        self.cut()

    def freeze(self) -> None:
        """Forward nothing more, close nothing: the network between the two is gone."""

        def stop() -> None:
            self._freezes = True
            for pair in self._pairs:
                pair.is_frozen = True

        self._call(stop)

    def heal(self) -> None:
        """Let new connections pass; frozen ones stay dead, as after a partition."""
        self._refuses = self._freezes = False
        self._delay_seconds = 0.0

    def delay(self, seconds: float) -> None:
        """Hold every message back for a while, in both directions."""
        self._delay_seconds = seconds

    def break_request(self, text: str, *, after: str = "") -> Fault:
        """Cut the connection that sends this, before the server sees it."""
        return self._plan(Fault(text.encode(), "request", False, after.encode()))

    def drop_answer_to(self, text: str, *, after: str = "") -> Fault:
        """Let the server do this request, then cut the connection instead of answering."""
        return self._plan(Fault(text.encode(), "request", True, after.encode()))

    def drop_answer_with(self, text: str) -> Fault:
        """Cut the connection instead of giving the answer that has this in it."""
        return self._plan(Fault(text.encode(), "answer", True))

    def close(self) -> None:
        self._refuses = True
        self._server.close()
        self.cut()
        until(lambda: not self._pairs, "closing the proxy's connections")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _plan(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _call(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self._do(act())

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refuses:
            client.transport.abort()
            return
        try:
            answers, server = await asyncio.open_unix_connection(str(self._target))
        except OSError:  # the server is down: what is refused there is refused here
            client.transport.abort()
            return
        pair = _Pair(client, server)
        pair.is_frozen = self._freezes
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._forward(pair, reader, server, "request"),
                self._forward(pair, answers, client, "answer"),
            )
        except OSError:
            pass  # one side has gone
        finally:
            self._pairs.discard(pair)
            pair.reset()

    async def _forward(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, of: str
    ) -> None:
        while data := await reader.read(65536):
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            if pair.is_frozen:
                continue
            if pair.withheld is not None and of == "answer":
                if READY in data:
                    self._break(pair, pair.withheld)
                    return
                continue
            fault = self._due(pair, data, of)
            if of == "request":
                pair.said = (pair.said + data)[-262144:]
            if fault is None:
                writer.write(data)
                await writer.drain()
            elif of == "request" and fault.forward:
                pair.withheld = fault
                writer.write(data)
            else:
                self._break(pair, fault)
                return
        pair.reset()

    def _due(self, pair: _Pair, data: bytes, of: str) -> Fault | None:
        for fault in self._faults:
            if fault.of == of and fault.text in data and fault.after in pair.said + data:
                self._faults.remove(fault)
                return fault
        return None

    def _break(self, pair: _Pair, fault: Fault) -> None:
        pair.reset()
        fault.happened.set()
