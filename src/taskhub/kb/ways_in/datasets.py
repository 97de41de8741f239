"""What is asked of datasets, and deferred in the transaction that makes it necessary."""

from taskhub.kb.cleaning import hide
from taskhub.kb.tasks.cleaning import DELETED, clean_dataset
from taskhub.queue import Hub, cancel_within

CANCEL_JOBS = 1000


def delete_dataset(hub: Hub, dataset_id: int) -> int | None:
    """Hide a dataset at once and remove it in the background; the id of the job, None if it is gone.

    The jobs that index its documents are cancelled in the same transaction, the running ones first;
    beyond the first thousand the background job does it.
    """
    with hub.transaction() as session:
        if not hide.hide_dataset(session, dataset_id):
            return None
        jobs = hide.jobs_of_dataset(session, dataset_id, CANCEL_JOBS)
        cancel_within(session, hub, jobs, reason=DELETED)
        return clean_dataset.options(session=session).defer(dataset_id).id
