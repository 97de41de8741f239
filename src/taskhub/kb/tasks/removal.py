"""Remove rows in batches, each its own transaction; between two of them a request to stop is seen."""

from collections.abc import Sequence

from taskhub.kb.cleaning import batches
from taskhub.kb.cleaning.kinds import Kind
from taskhub.kb.tasks.steps import stop_if_asked
from taskhub.queue import Context, Fail

CLEAN_ROWS = 1000
NAMED = 5


def remove(ctx: Context, kinds: Sequence[Kind], note: str = "") -> dict[str, int]:
    """Remove all rows of these kinds; how many went, by kind, those that had any.

    Raises:
        Fail: some rows could not go, with their reasons; the others are gone all the same.
    """
    with ctx.hub.transaction() as session:
        total = sum(batches.count(session, kinds).values())
    gone: dict[str, int] = {}
    aside: list[str] = []
    place: batches.Place | None = batches.Place()
    while place is not None:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            batch = batches.clean_batch(session, kinds, CLEAN_ROWS, place=place)
        for name, number in batch.gone.items():
            gone[name] = gone.get(name, 0) + number
        aside += [f"{kind} {key}: {reason}" for kind, key, reason in batch.set_aside]
        place = batch.following
        done = sum(gone.values())
        ctx.progress(done, max(total, done, 1), note)
    gone = {name: number for name, number in gone.items() if number}
    ctx.log.info("rows removed", extra={"gone": gone})
    if aside:
        raise Fail(f"{len(aside)} rows could not go: {'; '.join(aside[:NAMED])}")
    return gone
