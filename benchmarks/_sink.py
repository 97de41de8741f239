"""An SMTP server that takes everything and counts: as little work a mail as a server can do.

`python _sink.py` says its port, then serves; a line on its stdin has it tell what arrived, and end.
Mails are told apart by their Message-IDs.
"""

import asyncio
import json
import sys
from collections import Counter

ANSWERS = {
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"NOOP": b"250 ok\r\n",
}
arrived: Counter[bytes] = Counter()
connections = 0


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        global connections  # noqa: PLW0603 - the program is this one count
        connections += 1
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._buffer = b""
        self._in_data = False
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer whole lines, and take whole mails."""
        self._buffer += data
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            head, found, rest = self._buffer.partition(end)
            if not found:
                return
            self._buffer = rest
            if self._in_data:
                self._in_data = False
                arrived[_message_id(head)] += 1
                self._transport.write(b"250 taken\r\n")
            else:
                self._answer(head)

    def _answer(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._transport.write(b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
        elif verb == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(ANSWERS.get(verb, b"502 what?\r\n"))


def _message_id(mail: bytes) -> bytes:
    _, _, behind = mail.partition(b"Message-ID:")
    return behind.partition(b"\r\n")[0].strip()


def say(**told: object) -> None:
    """One line of JSON to whoever started us."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until a line comes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.readline)
    say(mails=sum(arrived.values()), distinct=len(arrived), connections=connections)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
