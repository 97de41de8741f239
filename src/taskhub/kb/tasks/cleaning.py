"""What goes, goes in the background: bounded, repeatable, safe against running index jobs."""

from taskhub.kb.datasets import clean as cleaning
from taskhub.kb.tasks.blueprint import kb
from taskhub.queue import Backoff, Context, Fail

CLEAN_ROWS = 1000


@kb.task(
    name="clean_dataset",
    queue="cleaning",
    lock="dataset:{dataset_id}",
    retry=Backoff(max_attempts=3),
)
def clean_dataset(ctx: Context, dataset_id: int) -> dict[str, int]:
    """Remove a dataset's rows in batches, each its own transaction; rows gone, by kind.

    It ends as failed, with the reasons, when rows could not go; the others are gone all the same.
    """
    with ctx.hub.transaction() as session:
        cleaning.mark_deleted(session, dataset_id)
    gone: dict[str, int] = {}
    aside: list[str] = []
    place: cleaning.Place | None = cleaning.Place()
    while place is not None:
        if ctx.cancelled:
            raise Fail("stopped between two batches, as somebody or the end of the worker asked")
        with ctx.hub.transaction() as session:
            batch = cleaning.clean_batch(session, dataset_id, CLEAN_ROWS, place=place)
        for name, number in batch.gone.items():
            gone[name] = gone.get(name, 0) + number
        aside += [f"{kind} {key}: {reason}" for kind, key, reason in batch.set_aside]
        place = batch.following
    ctx.log.info("dataset cleaned", extra={"dataset_id": dataset_id, "gone": gone})
    if aside:
        raise Fail(f"{len(aside)} rows could not go: {'; '.join(aside[:5])}")
    return gone
