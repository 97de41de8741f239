"""One task for each kind of mail, so that each can be counted, paused and limited by its name.

All of them do the same with their batch, and share the connections to the server.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from taskhub.mail.blueprint import mail
from taskhub.mail.deliver import deliver
from taskhub.mail.kinds import KINDS
from taskhub.mail.outbox import Ended, State
from taskhub.mail.senders import sender
from taskhub.mail.senders.refusals import TransientRefusal
from taskhub.queue import Backoff, Breaker, Hub, Item, Task

BATCH = 100
# The key that all mails share: say how many a second your provider takes by `hub.limit("smtp", …)`.
LIMIT = "smtp"
# Half a day: a provider that is down at night is up in the morning.
RETRY = Backoff(max_attempts=20, first_seconds=10.0, ceiling_seconds=3600.0)
BREAKER = Breaker(failures=5, within=60, hold=30)


@dataclass(frozen=True, slots=True)
class Letter:
    """The argument of a mail's job: its row in the outbox, which has no secret in it either."""

    mail_id: int


def send(items: list[Item[Letter]]) -> None:
    """Send the mails of a batch; each job gets the outcome of its own mail."""
    hub = items[0].hub
    _hold_when_down(hub)
    by_mail = {item.args.mail_id: item for item in items}
    deliver(
        hub.transaction,
        sender(hub.settings),
        hub.settings,
        [item.args.mail_id for item in items],
        lambda ended: _tell(by_mail[ended.mail_id], ended),
    )


def _tell(item: Item[Letter], ended: Ended) -> None:
    item.log.info("mail %s: %s", ended.state.value, ended.told)
    if ended.state in (State.sent, State.dropped):
        item.succeed(f"{ended.state.value}: {ended.told}")
    elif ended.state is State.refused:
        item.fail(ended.told)
    elif ended.is_doubtful:
        item.fail(TransientRefusal(ended.told, doubtful=True))
    elif item.attempt < RETRY.max_attempts:
        # Said on purpose: a mailbox that is full for now says nothing against the server.
        item.retry(in_seconds=RETRY.wait(item.attempt - 1))
    else:
        item.fail(f"given up after {item.attempt} attempts: {ended.told}")


_seen: WeakSet[Hub] = WeakSet()


def _hold_when_down(hub: Hub) -> None:
    """Have the queue hold mails back while the server is down, unless somebody said something else."""
    if hub in _seen:
        return
    _seen.add(hub)
    if not any(rule.name == LIMIT and not rule.is_declared for rule in hub.limits()):
        hub.limit(LIMIT, breaker=BREAKER)


def _task(kind: str) -> Task[..., Any]:
    def run(items: list[Item[Letter]]) -> None:
        send(items)

    run.__doc__ = f"Send the mails of the kind {kind} that wait, many on one connection."
    declare = mail.task(
        name=f"mail_{kind}", queue="mail", batch=BATCH, of=Letter, retry=RETRY, limit=LIMIT
    )
    return declare(run)


SENDING: dict[str, Task[..., Any]] = {kind: _task(kind) for kind in KINDS}
