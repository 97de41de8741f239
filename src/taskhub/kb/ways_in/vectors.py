"""What is asked of a dataset's vectors, and deferred in the transaction that makes it necessary."""

from taskhub.kb.tasks.vectors import defer_removal, vector_indexing
from taskhub.kb.vectors import change
from taskhub.kb.vectors.embedders import embedder
from taskhub.queue import Hub


def change_model(hub: Hub, dataset_id: int, model_name: str) -> int:
    """Have a dataset searched by another model, once all of its vectors are there; the id of the job.

    Until then it is searched as before. With its present model all vectors are built anew. An
    endpoint is asked once if it must tell the model's width.

    Raises:
        UnknownDataset: there is none, or it is being deleted.
        UnknownEmbedder: there is no such model.
        UnknownWidth: the model's vectors have no table.
    """
    model = embedder(model_name, hub.settings)
    width = model.width  # asked for here, outside of the transaction
    del width
    with hub.transaction() as session:
        change.begin(session, dataset_id, model)
        return vector_indexing.options(session=session).defer(dataset_id).id


def search_by_words(hub: Hub, dataset_id: int) -> int:
    """Have a dataset searched by its words alone, from now on; the id of the job that removes vectors.

    Raises:
        UnknownDataset: there is none, or it is being deleted.
    """
    with hub.transaction() as session:
        change.to_words(session, dataset_id)
        return defer_removal(session, dataset_id)
