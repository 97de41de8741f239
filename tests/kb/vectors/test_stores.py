"""Both stores keep the same promises."""

import numpy
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors import exact, indexed
from taskhub.kb.vectors.binary import Vector
from taskhub.kb.vectors.exact import ExactStore
from taskhub.kb.vectors.indexed import IndexedStore
from taskhub.kb.vectors.models import WIDTHS
from taskhub.kb.vectors.rows import UnknownWidth
from taskhub.kb.vectors.store import Store, VectorRow
from tests.kb.makers import make_dataset, make_indexed

MODEL = "of the test"


@pytest.fixture(params=["pgvector", "pgvector, compared", "exact"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "exact":
        return ExactStore()
    request.getfixturevalue("pgvector")
    if request.param == "pgvector":  # through its index, however few there are
        monkeypatch.setattr(indexed, "COMPARED_NUMBERS", -1)
    return IndexedStore()


@pytest.fixture
def segments(session: Session, dataset: Dataset) -> list[int]:
    """The ids of 40 segments."""
    return make_segments(session, dataset)


def make_segments(session: Session, dataset: Dataset, number: int = 40) -> list[int]:
    document = make_indexed(session, dataset, *(f"text {n}" for n in range(number)))
    found = select(Segment.id).where(Segment.document_id == document.id).order_by(Segment.position)
    return list(session.scalars(found))


def vectors(number: int, width: int = 512) -> list[Vector]:
    """Directions that chance drew, always the same."""
    return list(numpy.random.default_rng(7).normal(size=(number, width)).astype(numpy.float32))


def fill(
    session: Session, store: Store, dataset: Dataset, segments: list[int], made: list[Vector]
) -> None:
    rows = [VectorRow(i, 0, dataset.id, v) for i, v in zip(segments, made, strict=True)]
    store.put(session, MODEL, rows)


def cosine_distance(one: Vector, other: Vector) -> float:
    return 1 - float(one @ other / numpy.linalg.norm(one) / numpy.linalg.norm(other))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_nearest_come_first_with_their_cosine_distances(
    session: Session, dataset: Dataset, segments: list[int], store: Store, width: int
) -> None:
    made = vectors(40, width)
    fill(session, store, dataset, segments, made)
    wanted = made[3] + made[17] * 0.5

    found = store.nearest(session, wanted, MODEL, [dataset.id], 5)

    by_hand = sorted((cosine_distance(wanted, v), i) for i, v in zip(segments, made, strict=True))[
        :5
    ]
    assert [i for i, _ in found] == [i for _, i in by_hand]
    # Of width 3072 halves are stored.
    assert [d for _, d in found] == pytest.approx([d for d, _ in by_hand], abs=2e-3)


def test_only_the_model_and_the_datasets_that_are_asked_for_are_found(
    session: Session, dataset: Dataset, segments: list[int], store: Store
) -> None:
    other = make_dataset(session)
    made = vectors(40)
    fill(session, store, dataset, segments, made)
    fill(session, store, other, make_segments(session, other), made)

    found = store.nearest(session, made[0], MODEL, [dataset.id], 100)

    assert {i for i, _ in found} == set(segments)
    assert store.nearest(session, made[0], "another model", [dataset.id], 5) == []
    assert store.nearest(session, made[0], MODEL, [], 5) == []


def test_only_named_segments_are_answered(
    session: Session, dataset: Dataset, segments: list[int], store: Store
) -> None:
    made = vectors(40)
    fill(session, store, dataset, segments, made)
    few = select(Segment.id).where(Segment.id.in_(segments[10:13]))

    found = store.nearest(session, made[0], MODEL, [dataset.id], 100, segment_ids=few)

    assert sorted(i for i, _ in found) == segments[10:13]


def test_a_segment_is_found_by_each_of_its_parts(
    session: Session, dataset: Dataset, segments: list[int], store: Store
) -> None:
    made = vectors(3)
    rows = [VectorRow(segments[0], part, dataset.id, v) for part, v in enumerate(made, 1)]
    store.put(session, MODEL, rows)

    for vector in made:
        [(segment_id, distance)] = store.nearest(session, vector, MODEL, [dataset.id], 1)
        assert segment_id == segments[0]
        assert distance == pytest.approx(0, abs=1e-6)


def test_what_is_put_takes_the_place_of_all_that_the_segment_had_of_this_model(
    session: Session, dataset: Dataset, segments: list[int], store: Store
) -> None:
    made = vectors(4)
    old = [VectorRow(segments[0], part, dataset.id, v) for part, v in enumerate(made[:3])]
    store.put(session, MODEL, old)
    store.put(session, "another model", old)

    store.put(session, MODEL, [VectorRow(segments[0], 0, dataset.id, made[3])])

    assert store.count(session, dataset.id, MODEL) == 1
    assert store.count(session, dataset.id, "another model") == 3
    [(segment_id, distance)] = store.nearest(session, made[3], MODEL, [dataset.id], 9)
    assert segment_id == segments[0]
    assert distance == pytest.approx(0, abs=1e-6)


def test_old_models_go_in_batches_and_the_kept_one_stays(
    session: Session, dataset: Dataset, segments: list[int], store: Store
) -> None:
    made = vectors(40)
    fill(session, store, dataset, segments, made)
    store.remove(session, dataset.id, keep=MODEL, limit=100)  # what the maker has put
    store.put(session, "old", [VectorRow(i, 0, dataset.id, made[0]) for i in segments])

    gone = [store.remove(session, dataset.id, keep=MODEL, limit=15) for _ in range(4)]

    assert gone == [15, 15, 10, 0]
    assert store.count(session, dataset.id, MODEL) == 40
    assert store.remove(session, dataset.id, keep=None, limit=100) == 40


def test_nothing_is_put_for_no_rows(session: Session, store: Store) -> None:
    store.put(session, MODEL, [])


@pytest.mark.usefixtures("pgvector")
def test_a_width_without_a_table_is_refused_with_the_known_ones(
    session: Session, dataset: Dataset, segments: list[int]
) -> None:
    with pytest.raises(UnknownWidth, match=r"of 384, 512, 768, 1024, 1536, 3072, got 100"):
        fill(session, IndexedStore(), dataset, segments[:1], vectors(1, 100))


def test_an_exact_search_reads_a_chunk_at_a_time(
    session: Session, dataset: Dataset, segments: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "CHUNK", 7)
    made = vectors(40)
    fill(session, ExactStore(), dataset, segments, made)

    found = ExactStore().nearest(session, made[39], MODEL, [dataset.id], 40)

    assert len(found) == 40
    assert found[0][0] == segments[39]
    assert [d for _, d in found] == sorted(d for _, d in found)
