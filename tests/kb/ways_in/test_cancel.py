"""A job of the pipeline that hands its document on is over at once, and must hear of a cancel before."""

import dataclasses
from typing import Any

from sqlalchemy import text

from taskhub import app
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.state import Condition
from taskhub.kb.ways_in import changes, documents
from taskhub.queue import Job, insight
from taskhub.queue.filters import JobFilter
from tests.kb.vectors.endpoint import Endpoint, answer, serving
from tests.kb.ways_in.library import Library

OTTERS = "".join(f"Otter {n} swims in the river and eats fish.\n\n" for n in range(400))


def of_endpoint(library: Library, endpoint: Endpoint) -> Library:
    """The same dataset, whose vectors an endpoint makes, two at a time."""
    settings = dataclasses.replace(
        library.hub.settings,
        embedding_url=endpoint.url,
        embedding_dimensions=0,
        embedding_batch=2,
        small_text_bytes=0,
    )
    hub = app.build(settings)
    with hub.transaction() as session:
        session.get_one(Dataset, library.dataset_id).embedding_model = "remote"
    return Library(hub, library.dataset_id, library.folder)


def test_a_cancel_while_an_endpoint_answers_ends_the_chain_of_requests(library: Library) -> None:
    with serving() as endpoint:
        library = of_endpoint(library, endpoint)
        path = library.write("otters.txt", OTTERS)
        document_id = documents.add_document(library.hub, library.dataset_id, path)

        def cancelling(texts: list[str]) -> Any:
            job_id = library.status(document_id).job_id
            assert job_id is not None
            job: Job[Any] = Job(job_id, "document_embedding", library.hub)
            job.cancel(reason="no longer wanted")
            return answer(texts)

        endpoint.scripts = [answer, cancelling]
        library.work()

        assert len(endpoint.asked) == 2
        assert library.status(document_id).condition is Condition.CANCELLED
        [last] = insight.jobs(library.hub, JobFilter(tasks=("document_embedding",)), limit=1)
        assert last.status == "aborted"

        changes.retry_documents(library.hub, [document_id])
        library.work()
        assert library.status(document_id).condition is Condition.COMPLETED
        library.hub.close()


def test_a_cancel_of_a_process_job_at_its_last_step_is_no_failure(library: Library) -> None:
    hub = app.build(dataclasses.replace(library.hub.settings, small_text_bytes=0))
    library = Library(hub, library.dataset_id, library.folder)
    path = library.write("otters.txt", OTTERS)
    document_id = documents.add_document(hub, library.dataset_id, path)
    job_id = library.status(document_id).job_id
    assert job_id is not None
    # As if somebody asked right before it hands over: its child finds the request, its worker has not heard.
    with hub.engine.begin() as connection:
        asked = "INSERT INTO taskhub.cancel_requests (job_id, claim) VALUES (:job_id, 1)"
        connection.execute(text(asked), {"job_id": job_id})

    library.work()

    assert insight.job(hub, job_id).status == "aborted"
    assert insight.jobs(hub, JobFilter(tasks=("document_indexing",))) == []
    assert library.status(document_id).condition is Condition.CANCELLED
    hub.close()
