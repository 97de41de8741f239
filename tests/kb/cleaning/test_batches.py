from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.batches import Cleaned, Place, clean_batch
from taskhub.kb.cleaning.hide import hide_dataset
from taskhub.kb.datasets.clean import count, owned
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.vectors.models import Embedding
from tests.kb.makers import make_dataset, make_indexed


def clean_all(session: Session, dataset_id: int, limit: int = 500) -> list[Cleaned]:
    batches = []
    place: Place | None = Place()
    while place is not None:
        batches.append(clean_batch(session, owned(dataset_id), limit, place=place))
        place = batches[-1].following
    return batches


def gone(batches: list[Cleaned]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for batch in batches:
        for name, number in batch.gone.items():
            sums[name] = sums.get(name, 0) + number
    return sums


def test_a_dataset_goes_with_all_it_has_and_nothing_else_goes(
    session: Session, dataset: Dataset
) -> None:
    other = make_dataset(session)
    make_indexed(session, other, "Badgers dig.")
    for n in range(3):
        make_indexed(session, dataset, f"Otters swim {n}.", f"Otters eat {n}.")
    before, others = count(session, dataset.id), count(session, other.id)
    cached = session.scalar(select(func.count()).select_from(Embedding))

    batches = clean_all(session, dataset.id, limit=2)

    assert before["keywords"] > 0
    assert gone(batches) == {n: c for n, c in before.items() if n != "keywords"}
    assert all(sum(batch.gone.values()) <= 2 for batch in batches)
    assert set(count(session, dataset.id).values()) == {0}
    assert count(session, other.id) == others
    assert session.scalar(select(func.count()).select_from(Embedding)) == cached


def test_a_second_run_finds_nothing(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, "Otters swim.")
    clean_all(session, dataset.id)

    again = clean_all(session, dataset.id)

    assert set(gone(again).values()) == {0}


def test_a_row_that_cannot_go_is_set_aside_and_the_others_go(
    session: Session, dataset: Dataset
) -> None:
    held = make_indexed(session, dataset, "Otters swim.")
    held_id = held.id
    for _ in range(4):
        make_indexed(session, dataset, "Badgers dig.")
    session.execute(
        text("CREATE TABLE public.citations (document_id bigint REFERENCES taskhub_kb.documents)")
    )
    session.execute(text(f"INSERT INTO public.citations VALUES ({held_id})"))

    batches = clean_all(session, dataset.id, limit=2)

    aside = [(kind, key) for batch in batches for kind, key, _ in batch.set_aside]
    reasons = [reason for batch in batches for _, _, reason in batch.set_aside]
    assert aside == [("documents", (held_id,)), ("datasets", (dataset.id,))]
    assert all("violates foreign key constraint" in reason for reason in reasons)
    left = {kind: number for kind, number in count(session, dataset.id).items() if number}
    assert left == {"documents": 1, "datasets": 1}


def test_a_dataset_marked_as_deleted_is_hidden_before_it_is_gone(
    session: Session, dataset: Dataset
) -> None:
    assert hide_dataset(session, dataset.id)
    first = dataset.deleted_at
    assert hide_dataset(session, dataset.id)

    assert dataset.deleted_at == first
    assert not hide_dataset(session, 0)
