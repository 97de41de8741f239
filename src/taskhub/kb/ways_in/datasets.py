"""What is asked of datasets, and deferred in the transaction that makes it necessary."""

from taskhub.kb.datasets import clean as cleaning
from taskhub.kb.tasks.cleaning import clean_dataset
from taskhub.queue import Hub


def delete_dataset(hub: Hub, dataset_id: int) -> int | None:
    """Hide a dataset at once and remove it in the background; the id of the job, None if it is gone."""
    with hub.transaction() as session:
        if not cleaning.mark_deleted(session, dataset_id):
            return None
        return clean_dataset.options(session=session).defer(dataset_id).id
