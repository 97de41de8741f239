"""The secret arguments of a job: encrypted where it is deferred, opened where it runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taskhub.queue import keys
from taskhub.queue.keys import BrokenSecret, Keyring, NoSecretKey
from taskhub.queue.outcomes import Snooze
from taskhub.queue.secret import Sealed, Secret, traces
from taskhub.queue.storable import MAX_DEPTH, BadArgument, to_json
from taskhub.settings import BadSetting

if TYPE_CHECKING:
    from taskhub.queue.context import Context
    from taskhub.queue.task import Task

logger = logging.getLogger("taskhub.worker")
ENVELOPE = "$secret"
KEY_MISSING_SECONDS = 30.0
_told: set[str] = set()


class KeyMissing(Snooze):
    """This worker has not the key of a job's secret: the job waits, as one of an unknown task does."""

    def __init__(self, reason: str) -> None:
        super().__init__(KEY_MISSING_SECONDS)
        self.args = (reason,)


def write(
    task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], max_bytes: int
) -> tuple[str, Mapping[str, Any]]:
    """As `Parameters.write`, for a task with secrets, which are encrypted in the text.

    Raises:
        NoSecretKey: there is no key to encrypt with.
        TypeError, BadArgument: as for other arguments; a secret is never shown.
    """
    given = task.parameters.bind(args, kwargs)
    ring = keys.keyring(task.hub.settings)
    _ = ring.first  # also where the secret is left out: whoever has no key finds out at once
    stored = {
        name: seal(ring, value.reveal(), task.name, name) if isinstance(value, Secret) else value
        for name, value in given.items()
    }
    return to_json(stored, max_bytes), given


def seal(ring: Keyring, plain: Any, task_name: str, parameter: str) -> dict[str, Any]:
    """A value that JSON can hold, as a job's row holds it: bound to its task and parameter."""
    try:
        text = json.dumps(plain, allow_nan=False)
    except ValueError:  # the message would show it
        text = None
    except RecursionError:
        raise BadArgument(f"{parameter} must be at most {MAX_DEPTH} levels deep") from None
    if text is None:
        raise BadArgument(f"{parameter} must be finite numbers")
    return {ENVELOPE: ring.encrypt(text.encode(), _place(task_name, parameter))}


def unseal(ring: Keyring, stored: Mapping[str, Any], task_name: str, parameter: str) -> Any:
    """The value that `seal` was given.

    Raises:
        NoSecretKey, BrokenSecret: as `Keyring.decrypt` does.
    """
    return json.loads(ring.decrypt(stored, _place(task_name, parameter)))


def sealed_in(value: Any) -> Mapping[str, Any] | None:
    """The key and the data in a stored argument; None: it is stored as it is."""
    if not isinstance(value, dict) or value.keys() != {ENVELOPE}:
        return None
    inside = value[ENVELOPE]
    return inside if isinstance(inside, dict) and inside.keys() >= {"key", "data"} else None


def opened(
    given: Mapping[str, Any], wanted: Mapping[str, Sealed], context: Context
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The other arguments as they are, and the secret ones as the function takes them.

    A value that is stored as it is, by a client that knows nothing of secrets or before the parameter
    was one, is taken. `context.hidden` is set.

    Raises:
        KeyMissing: a key is not here.
        BrokenSecret: a secret was changed or moved.
        TypeError: it does not fit the annotation any more.
    """
    ring = _ring(context)
    plain: dict[str, Any] = {}
    for name in wanted.keys() & given.keys():
        stored = sealed_in(given[name])
        try:
            plain[name] = (
                given[name] if stored is None else unseal(ring, stored, context.task_name, name)
            )
        except NoSecretKey as error:
            raise _missing(error) from None
        except BrokenSecret as error:
            raise BrokenSecret(f"secret {name} {error}") from None
    seen = {trace for value in plain.values() for trace in traces(value)}
    context.hidden = tuple(sorted(seen, key=len, reverse=True))
    secrets = {name: wanted[name].decode(value, name) for name, value in plain.items()}
    return {name: value for name, value in given.items() if name not in wanted}, secrets


def check_keys(task: Task[..., Any], args: str, context: Context) -> None:
    """Raise KeyMissing before a job is given to a child process, which could not tell why."""
    given = json.loads(args)
    if not task.parameters.secrets or not isinstance(given, dict):
        return
    ring = _ring(context)
    for name in task.parameters.secrets.keys() & given.keys():
        if (stored := sealed_in(given[name])) is not None:
            try:
                ring.require(stored)
            except NoSecretKey as error:
                raise _missing(error) from None


def _ring(context: Context) -> Keyring:
    try:
        return keys.keyring(context.hub.settings)
    except BadSetting as error:
        # What is wrong with this worker's settings is no fault of the job.
        raise _missing(error) from None


def _missing(error: BadSetting) -> KeyMissing:
    reason = str(error)
    if reason not in _told:
        _told.add(reason)
        logger.error("a secret cannot be opened here; its jobs wait", extra={"reason": reason})
    return KeyMissing(reason)


def _place(task_name: str, parameter: str) -> bytes:
    return json.dumps(["taskhub", task_name, parameter]).encode()
