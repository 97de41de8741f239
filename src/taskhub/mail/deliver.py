"""Many mails on one connection: what leaves is said before, what became of it right after.

Mails go in flights. One transaction notes how the last flight went and that the next one is being
sent. A process that dies leaves one flight of which nobody knows; the next attempt sends those mails
again, with the same Message-IDs, and marks them as doubtful.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from taskhub.mail import letters, outbox
from taskhub.mail.letters import Letter
from taskhub.mail.outbox import Ended, State
from taskhub.mail.senders import Line, Sender
from taskhub.mail.senders.refusals import PermanentRefusal, TransientRefusal, Unreachable
from taskhub.settings import Settings

# As many mails may go out twice after a crash; one commit for so many costs little beside them.
FLIGHT = 20

Transaction = Callable[[], AbstractContextManager[Session]]
Tell = Callable[[Ended], None]


def deliver(
    transaction: Transaction,
    sender: Sender,
    settings: Settings,
    mail_ids: Sequence[int],
    tell: Tell,
) -> None:
    """Send mails of the outbox on one connection; `tell` hears how each ended, when that is stored.

    Opens transactions of its own, one more than there are flights. Mails of which nothing was told when
    it raises are to be tried again.

    Raises:
        Unreachable: no connection could be made, or none that lasts; the mails that are left wait.
    """
    ended: list[Ended] = []
    lost: Unreachable | None = None
    flights = [mail_ids[n : n + FLIGHT] for n in range(0, len(mail_ids), FLIGHT)]
    with sender.line() as line:
        for flight in flights:
            if lost is not None:
                told = str(lost)
                ended += [Ended(i, State.waiting, told, is_unreached=True) for i in flight]
                continue
            with transaction() as session:
                outbox.settle(session, ended)
                ready, done = letters.prepare(session, settings, flight)
                outbox.settle(session, [e for e in done if e.told not in _KEPT])
            _tell((*ended, *done), tell)
            ended, lost = _fly(line, ready)
    with transaction() as session:
        outbox.settle(session, ended)
    _tell(ended, tell)
    if lost is not None:
        raise lost


def _tell(ended: Iterable[Ended], tell: Tell) -> None:
    for one in ended:
        if not one.is_unreached:
            tell(one)


# Ends that change nothing in the outbox.
_KEPT = ("already sent", "mail gone")


def _fly(line: Line, flight: list[Letter]) -> tuple[list[Ended], Unreachable | None]:
    """How a flight ended, mail by mail, and why no other one should be tried."""
    answers = line.send([letter.message for letter in flight])
    ended = [_ended(letter, answer) for letter, answer in zip(flight, answers, strict=True)]
    lost = next((a for a in reversed(answers) if isinstance(a, Unreachable)), None)
    return ended, lost


def _ended(letter: Letter, answer: PermanentRefusal | TransientRefusal | None) -> Ended:
    if answer is None:
        told = str(letter.message["Message-ID"])
        return Ended(letter.mail_id, State.sent, told, is_last=letter.is_last)
    # Servers quote the address, and what is told ends up in the job's history.
    told = str(answer).replace(str(letter.message["To"].addresses[0].addr_spec), "…")
    if isinstance(answer, PermanentRefusal):
        return Ended(letter.mail_id, State.refused, told, is_last=letter.is_last)
    return Ended(
        letter.mail_id,
        State.waiting,
        told,
        is_doubtful=answer.doubtful,
        is_unreached=isinstance(answer, Unreachable),
    )
