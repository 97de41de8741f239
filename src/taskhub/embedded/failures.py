"""What can go wrong with the embedded Postgres."""

from pathlib import Path

TAIL_LINES = 12
TAIL_BYTES = 8192


class NoEmbeddedPostgres(RuntimeError):
    """The binaries are not installed, or none are built for this platform."""


class EmbeddedFailed(RuntimeError):
    """The server could not be made, started, stopped or reached.

    `log_path` is the server's log where there is one, `log_tail` its last lines; the message
    holds both.
    """

    def __init__(self, message: str, log_path: Path | None = None, log_tail: str = "") -> None:
        self.log_path = log_path
        self.log_tail = log_tail or (tail(log_path) if log_path else "")
        if log_path:
            message = f"{message}; see {log_path}"
        super().__init__(f"{message}\n{self.log_tail}" if self.log_tail else message)


def tail(log_path: Path, *, since_bytes: int = 0) -> str:
    """The last lines of a log, none from before `since_bytes`; empty if it cannot be read."""
    try:
        with log_path.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(since_bytes, end - TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL_LINES:])
