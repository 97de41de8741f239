"""What the history keeps of an error: class, message, trimmed traceback, fingerprint."""

import hashlib
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path

MAX_MESSAGE = 2_000
MAX_TRACEBACK = 16_000
_OURS = str(Path(__file__).parent)
_LIBRARY = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception as text that Postgres can store.

    Attributes:
        fingerprint: 16 hex digits, the same for the same class raised through the same functions
            of the user's own code, whatever the message and the line numbers.
    """

    error_class: str
    error_message: str
    traceback: str
    fingerprint: str


def describe(error: BaseException) -> Failure:
    """`error` as the history keeps it; the queue's own frames are left out."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    told = traceback.TracebackException.from_exception(error)
    frames = [f for f in told.stack if not f.filename.startswith(_OURS)]
    told.stack = traceback.StackSummary.from_list(frames)
    own = [f for f in frames if not f.filename.startswith(_LIBRARY)] or frames
    mark = "\n".join([name, *(f"{Path(f.filename).name}:{f.name}" for f in own)])
    return Failure(
        error_class=name,
        error_message=_cut(storable(_message(error)), MAX_MESSAGE),
        traceback=_cut(storable("".join(told.format())), MAX_TRACEBACK),
        fingerprint=hashlib.sha256(mark.encode("utf-8", "replace")).hexdigest()[:16],
    )


def storable(text: str) -> str:
    """`text` without what Postgres refuses: NUL and lone surrogates are written out."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<the message cannot be shown: {type(broken).__name__}>"


def _cut(text: str, most: int) -> str:
    """Head and tail of a text that is too long: the cause is often in the last lines."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
