"""What Postgres can hold: JSON, names and numbers, checked before any SQL and written as it keeps them."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from typing import Any

MAX_DEPTH = 64
MAX_ARGS_BYTES = 2**20  # what the table takes, however high the setting is
MAX_NAME_BYTES = 40  # the channel of a NOTIFY is 63 bytes, procrastinate's prefix takes 23
MAX_TASK_BYTES = 128
MAX_LOCK_BYTES = 1024  # an index entry holds 2.7 kB
MAX_DELAY_SECONDS = 1e10
INT64 = range(-(2**63), 2**63)
INT32 = range(-(2**31), 2**31)
YEARS = range(2, 9999)  # a datetime in any zone holds them, so that whoever reads the row can
_LOWEST, _HIGHEST = INT64[0], INT64[-1]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
WORDS = {None: "null", True: "true", False: "false"}


class BadArgument(ValueError):
    """A value that Postgres or JSON cannot hold; nothing was sent to the database."""


def to_json(arguments: Mapping[str, Any], max_bytes: int) -> str:
    """The text of the arguments' JSON object.

    Raises:
        BadArgument: with the place of a value that Postgres or JSON cannot hold, or the size.
    """
    try:
        text = write(arguments, 0)
    except BadArgument:
        for name, value in arguments.items():
            _refuse_leaf(name, "name of an argument")
            _refuse(value, name, 1)
        raise
    return check_size(text, max_bytes)


def write(value: Any, depth: int = 1) -> str:
    """The JSON text of `value`, with its blanks, digits and escapes as jsonb gives them back.

    Its length is thus the one that the table's limit is about.

    Raises:
        BadArgument: without a place; `to_json` finds it.
        TypeError: it is nothing that JSON knows.
    """
    if isinstance(value, str):
        return write_text(value)
    if value is None or value is True or value is False:
        return WORDS[value]
    if isinstance(value, int):
        return write_integer(value)
    if isinstance(value, float):
        return write_float(value)
    if not isinstance(value, list | Mapping):
        raise TypeError(f"JSON must be made of plain values, got {type(value).__name__}")
    if depth > MAX_DEPTH:
        raise BadArgument(f"JSON must be at most {MAX_DEPTH} levels deep")
    if isinstance(value, list):
        return f"[{', '.join([write(item, depth + 1) for item in value])}]"
    pairs = [f"{write_text(key)}: {write(item, depth + 1)}" for key, item in value.items()]
    return f"{{{', '.join(pairs)}}}"


def write_text(value: str) -> str:
    """The JSON text of a string without NUL and lone surrogates."""
    if _UNSTORABLE.search(value):
        raise BadArgument("text must have no NUL and no lone surrogate")
    return quoted(value)


def write_integer(value: int) -> str:
    """The JSON text of a whole number of at most 64 bits."""
    if not _LOWEST <= value <= _HIGHEST:
        raise BadArgument("a whole number must fit 64 bits")
    return int.__repr__(value)


def write_float(value: float) -> str:
    """The JSON text of a finite float, in decimal digits with a point."""
    text = float.__repr__(value)
    if "e" not in text:
        if "n" in text:
            raise BadArgument("a float must be finite")
        return text
    # Postgres keeps a number by its digits: 1e+23 would come back as a whole number, 10 ** 23, which
    # is another one than the float, and of more than 64 bits.
    digits = format(Decimal(text), "f")
    return digits if "." in digits else f"{digits}.0"


def check_size(text: str, max_bytes: int) -> str:
    """`text`, if it is no longer than the setting and the table allow."""
    limit = min(max_bytes, MAX_ARGS_BYTES)
    if len(text) * 4 <= limit:  # no character takes more
        return text
    if (size := len(text.encode())) <= limit:
        return text
    more = ", or raise TASKHUB_MAX_ARGS_BYTES" if limit < MAX_ARGS_BYTES else ""
    raise BadArgument(
        f"arguments must be at most {limit} bytes of JSON, got {size}; "
        f"store the data and pass its id{more}"
    )


def check_text(value: str, what: str, max_bytes: int) -> str:
    """`value`, if it is text that Postgres can hold in `max_bytes`.

    Raises:
        BadArgument: it is empty, too long, or has a NUL or a lone surrogate.
    """
    if not value or type(value) is not str:
        raise BadArgument(f"{what} must be text that is not empty, got {value!r:.100}")
    _refuse_leaf(value, what)
    if len(value) * 4 > max_bytes and (size := len(value.encode())) > max_bytes:
        raise BadArgument(f"{what} must be at most {max_bytes} bytes, got {size}")
    return value


def check_priority(value: int) -> int:
    """`value`, if it fits the column: 32 bits.

    Raises:
        BadArgument: it does not.
    """
    if type(value) is not int or value not in INT32:
        raise BadArgument(f"priority must be a whole number of 32 bits, got {value!r:.100}")
    return value


def check_at(value: datetime, what: str = "at") -> datetime:
    """`value`, if it is one point in time that every reader of the row can hold.

    Raises:
        TypeError: it is no datetime.
        BadArgument: it has no time zone, or its year is at the very edge.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{what} must be a datetime, got {value!r:.100}")
    if value.utcoffset() is None:
        raise BadArgument(f"{what} must carry a time zone, got {value.isoformat()}")
    if value.year not in YEARS or value.astimezone(UTC).year not in YEARS:
        raise BadArgument(
            f"{what} must be of a year from {YEARS[0]} to {YEARS[-1]}, got {value.isoformat()}"
        )
    return value


def check_delay(seconds: float) -> float:
    """`seconds`, if they are a number of seconds to wait.

    Raises:
        TypeError: it is no number.
        BadArgument: it is negative, not finite or more than three centuries.
    """
    if not isinstance(seconds, int | float):
        raise TypeError(f"delay must be seconds or a timedelta, got {seconds!r:.100}")
    if not 0 <= seconds < MAX_DELAY_SECONDS:
        raise BadArgument(f"delay must be 0 seconds or more, below 1e10, got {seconds}")
    return float(seconds)


def _refuse(value: Any, path: str, depth: int) -> None:
    """Raise BadArgument with the place of what `write` would not write."""
    if isinstance(value, list | Mapping) and depth > MAX_DEPTH:
        raise BadArgument(f"{path:.200} must be at most {MAX_DEPTH} levels deep")
    if isinstance(value, list):
        for n, item in enumerate(value):
            _refuse(item, f"{path}[{n}]", depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_leaf(key, f"key of {path}")
            _refuse(item, f"{path}.{key}", depth + 1)
    else:
        _refuse_leaf(value, path)


def _refuse_leaf(value: Any, path: str) -> None:
    if isinstance(value, str) and (found := _UNSTORABLE.search(value)):
        if found[0] == "\0":
            raise BadArgument(f"{path} must have no NUL character, which Postgres cannot store")
        raise BadArgument(f"{path} must be valid text, got a lone surrogate")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadArgument(f"{path} must be a finite number, got {value}")
    if isinstance(value, int) and value not in INT64:
        raise BadArgument(f"{path} must fit 64 bits, got a number of {value.bit_length()} bits")
