"""What is asked of datasets, and deferred in the transaction that makes it necessary."""

from collections.abc import Sequence
from dataclasses import dataclass

from taskhub.kb.cleaning import hide
from taskhub.kb.tasks.cleaning import DELETED, batch_clean_document, clean_dataset, clean_document
from taskhub.queue import Hub, cancel_within

CANCEL_JOBS = 1000
CLEAN_DOCUMENTS = 1000


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of documents: hidden and to be removed by these jobs, or not there at all."""

    document_ids: list[int]
    missing: list[int]
    job_ids: list[int]


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


def delete_documents(hub: Hub, document_ids: Sequence[int]) -> Deleted:
    """Hide documents at once, cancel what works on them, and remove them in the background.

    Each thousand is a transaction and a job of its own; ids that are not there are told, and do not
    keep the others.
    """
    ids = sorted(set(document_ids))
    found: list[int] = []
    job_ids: list[int] = []
    for start in range(0, len(ids), CLEAN_DOCUMENTS):
        with hub.transaction() as session:
            some = hide.hide_documents(session, ids[start : start + CLEAN_DOCUMENTS])
            if not some:
                continue
            jobs = hide.jobs_of_documents(session, some)
            cancel_within(session, hub, jobs, reason=DELETED)
            if len(some) == 1:
                job_ids.append(clean_document.options(session=session).defer(some[0]).id)
            else:
                job_ids.append(batch_clean_document.options(session=session).defer(some).id)
        found += some
    return Deleted(found, sorted(set(ids) - set(found)), job_ids)
