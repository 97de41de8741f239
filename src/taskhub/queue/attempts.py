"""What the history keeps of an error: class, message, trimmed traceback, fingerprint."""

import hashlib
import itertools
import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from taskhub.queue.secret import hide

MAX_MESSAGE = 2_000
MAX_TRACEBACK = 16_000
# Frames of one exception in the traceback, the innermost; a RecursionError has a thousand.
MAX_FRAMES = 60
MAX_CAUSES = 50
_OURS = str(Path(__file__).parent) + os.sep
_LIBRARY = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "purelib", "platlib"))
# What runs a task in a thread or on the loop; no news above the user's first frame.
_PLUMBING = (_OURS, *(str(Path(_LIBRARY[0], p)) + os.sep for p in ("concurrent", "asyncio")))
# Python 3.12 runs comprehensions in their function's own frame, 3.11 does not.
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
# Addresses, counters and dates that generated code puts into its names.
_UNSTABLE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d{4,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception as text that Postgres can store.

    Attributes:
        fingerprint: 16 hex digits, the same for the same class, with the same causes, raised
            through the same functions of the user's own code: whatever the message, the line
            numbers, the depth of a recursion and the folder the code lies in.
    """

    error_class: str
    error_message: str
    traceback: str
    fingerprint: str


def describe(error: BaseException, hidden: tuple[str, ...] = ()) -> Failure:
    """`error` as the history keeps it, without the queue's own frames; whatever it is, never raises.

    The traces of secrets in `hidden` are taken out.
    """
    try:
        return Failure(
            error_class=cut(storable(_class_name(error)), MAX_MESSAGE),
            error_message=cut(storable(hide(_message(error), hidden)), MAX_MESSAGE),
            traceback=cut(storable(hide(_traceback(error), hidden)), MAX_TRACEBACK),
            fingerprint=_fingerprint(error),
        )
    except Exception as broken:  # noqa: BLE001 - a failure that cannot be told must still be stored
        why = f"the exception cannot be described: {type(broken).__name__}"
        return Failure(
            error_class="Exception", error_message=why, traceback="", fingerprint=_digest(why)
        )


def storable(text: str) -> str:
    """`text` without what Postgres refuses: NUL and lone surrogates are written out."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def cut(text: str, most: int) -> str:
    """Head and tail of a text that is too long: the cause is often in the last lines."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<the message cannot be shown: {type(broken).__name__}>"


def _traceback(error: BaseException) -> str:
    try:
        told = traceback.TracebackException.from_exception(error, limit=-MAX_FRAMES, compact=True)
        for one in _related(told):
            one.stack = traceback.StackSummary.from_list(_trimmed(one.stack))
        return "".join(told.format())
    except Exception as broken:  # noqa: BLE001 - the exception's attributes may be anything
        places = "".join(f"  {place}\n" for place in _places(error))
        why = f"(the traceback cannot be shown: {type(broken).__name__})"
        return f"{places}{_class_name(error)}: {_message(error)}\n{why}\n"


def _related(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """An exception and those behind it: causes, contexts, members of groups."""
    waiting = [told]
    for one in waiting:
        yield one
        members = getattr(one, "exceptions", None) or ()
        waiting += [b for b in (one.__cause__, one.__context__, *members) if b is not None]


def _trimmed(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    users = itertools.dropwhile(lambda frame: frame.filename.startswith(_PLUMBING), stack)
    return [frame for frame in users if not frame.filename.startswith(_OURS)]


def _fingerprint(error: BaseException) -> str:
    causes: list[str] = []
    cause = error.__cause__
    while cause is not None and len(causes) < MAX_CAUSES:
        causes.append(_class_name(cause))
        cause = cause.__cause__
    if isinstance(error, BaseExceptionGroup):
        # Which members come first depends on which of them was faster.
        causes += sorted({_class_name(member) for member in error.exceptions})
    return _digest("\n".join([_class_name(error), *causes, *_places(error)]))


def _digest(mark: str) -> str:
    stable = _UNSTABLE.sub("#", mark)
    return hashlib.sha256(stable.encode("utf-8", "replace")).hexdigest()[:16]


def _places(error: BaseException) -> list[str]:
    """The functions that the exception went through, outermost first, each once.

    Only those of the user's own code, where there are any.
    """
    found: dict[str, bool] = {}
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(_OURS) and step.tb_frame.f_code.co_name not in _COMPREHENSIONS:
            is_library = file.startswith(_LIBRARY) or file.startswith("<frozen ")
            found.setdefault(_place(step.tb_frame), is_library)
        step = step.tb_next
    own = [place for place, is_library in found.items() if not is_library]
    return own or list(found)


def _place(frame: FrameType) -> str:
    # Not the file's path: the same code lies elsewhere in the next release.
    module = str(frame.f_globals.get("__name__"))
    if module == "__main__":
        module = Path(frame.f_code.co_filename).stem
    return f"{module}:{frame.f_code.co_qualname}"
