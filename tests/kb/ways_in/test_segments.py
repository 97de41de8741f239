"""Segments edited, added, imported, switched and deleted, on a real worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from taskhub import Status
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.switches import ArchivedDocument
from taskhub.kb.search import Mode as By
from taskhub.kb.segments import imports
from taskhub.kb.segments.edit import BadSegment, UnknownSegment
from taskhub.kb.segments.edits import SegmentEdit
from taskhub.kb.segments.import_csv import BadImport
from taskhub.kb.segments.models import ChildSegment, SegmentState
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.ways_in import changes, documents, segments
from tests.kb.ways_in.library import Library

OTTERS = "Otters swim in the river."
BADGERS = "Badgers dig under the oak."
TOO_LONG = (
    "text must be at most 10000 characters, got 10001; raise max_segment_characters to take it"
)


def status_of(library: Library, import_id: int) -> imports.ImportStatus:
    with library.hub.transaction() as session:
        return imports.import_status(session, import_id)


def table(library: Library, *lines: str) -> Path:
    return library.write("rows.csv", "\n".join(lines))


def test_a_segment_is_found_by_its_old_text_until_its_new_one_can_be(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)

    job_id = segments.edit_segment(library.hub, segment.id, BADGERS)

    assert job_id is not None
    assert library.find("otters") == [OTTERS]
    assert library.find(OTTERS, By.VECTOR) == [OTTERS]
    library.work()
    assert library.find("otters") == []
    assert library.find("badgers") == [BADGERS]
    assert library.find(BADGERS, By.VECTOR) == [BADGERS]
    assert library.segments(document_id)[0].id == segment.id
    assert library.count(SegmentEdit) == 0


def test_the_text_that_a_segment_has_already_costs_nothing(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)

    assert segments.edit_segment(library.hub, segment.id, f"  {OTTERS}\n") is None
    assert library.jobs() == []


def test_going_back_to_the_old_text_calls_a_waiting_edit_off(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)
    segments.edit_segment(library.hub, segment.id, BADGERS)

    segments.edit_segment(library.hub, segment.id, OTTERS)
    library.work()

    assert [s.text for s in library.segments(document_id)] == [OTTERS]


def test_of_two_edits_the_last_one_counts_and_one_job_does_both(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)

    first = segments.edit_segment(library.hub, segment.id, "Foxes run.")
    last = segments.edit_segment(library.hub, segment.id, BADGERS)
    library.work()

    assert first == last
    assert [s.text for s in library.segments(document_id)] == [BADGERS]


def test_an_added_segment_comes_last_with_a_place_of_its_own(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    for each in (BADGERS, "Foxes run."):
        segments.add_segment(library.hub, document_id, each)

    library.work()

    found = library.segments(document_id)
    assert [(s.position, s.text) for s in found] == [
        (0, OTTERS),
        (1, BADGERS),
        (2, "Foxes run."),
    ]
    assert {s.state for s in found} == {SegmentState.COMPLETED}
    assert library.find(BADGERS, By.VECTOR)[0] == BADGERS
    document = library.document(document_id)
    assert (document.segments_total, document.segments_done) == (3, 3)
    assert document.tokens == sum(s.tokens for s in found)


@pytest.mark.parametrize("off", ["enabled = false", "archived = true"])
def test_a_segment_of_a_document_that_is_off_is_indexed_all_the_same(
    library: Library, off: str
) -> None:
    # There it would stand at "indexing" for ever.
    document_id = library.add("a.txt", OTTERS)
    segments.add_segment(library.hub, document_id, BADGERS)
    library.broken(document_id, off)

    library.work()

    assert [s.state for s in library.segments(document_id)] == [SegmentState.COMPLETED] * 2
    assert library.find("badgers") == []


def test_an_edit_of_a_document_that_is_not_indexed_yet_waits_for_that(library: Library) -> None:
    document_id = documents.add_document(
        library.hub, library.dataset_id, library.write("a.txt", OTTERS)
    )

    segments.add_segment(library.hub, document_id, BADGERS)
    library.work()

    assert [s.text for s in library.segments(document_id)] == [OTTERS, BADGERS]


def test_an_edit_of_a_document_that_failed_says_so_and_can_be_retried(library: Library) -> None:
    document_id = library.add("a.txt", "")
    job_id = segments.add_segment(library.hub, document_id, BADGERS)

    library.work()

    assert library.job(job_id).status() is Status.FAILED
    assert f"document {document_id} must be completed before its segments change" in (
        library.failure(job_id)
    )
    assert library.count(SegmentEdit) == 1


def test_what_cannot_be_stored_is_refused_where_it_is_asked_for(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)

    with pytest.raises(BadSegment, match="text must have a letter, got none"):
        segments.add_segment(library.hub, document_id, " \0 ")
    with pytest.raises(BadSegment, match="text must be at most 10000 characters, got 10001"):
        segments.add_segment(library.hub, document_id, "x" * 10_001)
    with pytest.raises(UnknownSegment, match="segment 0 does not exist"):
        segments.edit_segment(library.hub, 0, OTTERS)
    with pytest.raises(UnknownDocument, match="document 0 does not exist"):
        segments.add_segment(library.hub, 0, OTTERS)
    changes.archive_documents(library.hub, [document_id], archived=True)
    with pytest.raises(ArchivedDocument, match=f"run `taskhub document unarchive {document_id}`"):
        segments.add_segment(library.hub, document_id, OTTERS)


def test_a_text_that_cannot_be_embedded_is_named_and_the_others_go_on(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)
    whole = HashEmbedder._vector
    monkeypatch.setattr(
        HashEmbedder,
        "_vector",
        lambda model, text: [float("nan")] * 512 if "wrong" in text else whole(model, text),
    )
    job_id = segments.edit_segment(library.hub, segment.id, "It is all wrong.")
    segments.add_segment(library.hub, document_id, BADGERS)

    library.work()

    assert [s.text for s in library.segments(document_id)] == [OTTERS, BADGERS]
    assert library.find(OTTERS, By.VECTOR)[0] == OTTERS
    assert library.failure(job_id) == (
        f"1 texts could not be used: segment {segment.id}: "
        "hash gave a vector with NaN or infinity in it"
    )


def test_switched_off_a_segment_is_not_found_and_nothing_leaves_the_index(
    library: Library,
) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)

    assert segments.enable_segments(library.hub, [segment.id, 0], enabled=False) == {segment.id}
    assert (library.find("otters"), library.find(OTTERS, By.VECTOR)) == ([], [])
    assert library.vectors() == 1

    segments.enable_segments(library.hub, [segment.id], enabled=True)
    assert library.find("otters") == [OTTERS]
    assert library.jobs() == []


def test_deleted_segments_are_gone_with_their_vectors_and_counts(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    segments.add_segment(library.hub, document_id, BADGERS)
    library.work()
    [first, second] = library.segments(document_id)
    segments.edit_segment(library.hub, first.id, "Foxes run.")

    gone = segments.delete_segments(library.hub, [first.id, 0])
    library.work()

    assert gone == {first.id}
    assert library.find("otters badgers foxes") == [BADGERS]
    assert [s.position for s in library.segments(document_id)] == [second.position]
    assert library.vectors() == 1
    assert library.document(document_id).segments_total == 1


def test_a_table_becomes_segments_in_its_order_with_each_bad_row_named(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    path = table(
        library, "text", BADGERS, "Cats, dogs", '"Foxes,', 'run."', "x" * 10_001, "狐狸跑得很快。"
    )

    told = segments.import_segments(library.hub, document_id, path)

    assert (told.rows, told.bad) == (
        3,
        [
            (
                3,
                "row must have 1 column, got 2; put a text with a separator in it in double quotes",
            ),
            (
                6,
                TOO_LONG,
            ),
        ],
    )
    assert status_of(library, told.import_id).shown == "waiting for a worker"
    library.work()
    assert [s.text for s in library.segments(document_id)] == [
        OTTERS,
        BADGERS,
        "Foxes,\nrun.",
        "狐狸跑得很快。",
    ]
    found = status_of(library, told.import_id)
    assert (found.rows_total, found.rows_done, found.rows_waiting, found.rows_bad) == (5, 3, 0, 2)
    assert found.shown == "completed, 2 rows left out"
    with library.hub.transaction() as session:
        assert imports.bad_rows(session, told.import_id) == told.bad


def test_the_largest_table_travels_as_an_id_and_is_done_in_batches(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    told = segments.import_segments(
        library.hub, document_id, table(library, *(f"Fact number {n}." for n in range(500)))
    )
    with library.hub.transaction() as session:
        arguments = session.scalar(
            text("SELECT args FROM taskhub.procrastinate_jobs WHERE id = :id"), {"id": told.job_id}
        )

    library.work()

    assert arguments == {"document_id": document_id}
    found = library.segments(document_id)
    assert [s.position for s in found] == list(range(501))
    assert [s.text for s in found[1:]] == [f"Fact number {n}." for n in range(500)]
    assert library.job(told.job_id).progress().done == 500  # type: ignore[union-attr]  # it has reported


def test_an_import_whose_job_is_cancelled_does_not_say_that_it_waits(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    told = segments.import_segments(library.hub, document_id, table(library, BADGERS))

    library.job(told.job_id).cancel()

    assert status_of(library, told.import_id).shown == "cancelled"


def test_an_import_goes_on_where_it_stood(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = library.add("a.txt", OTTERS)
    told = segments.import_segments(
        library.hub, document_id, table(library, *(f"Fact number {n}." for n in range(100)))
    )
    whole, calls = HashEmbedder.embed, 0

    def breaks(model: HashEmbedder, texts: list[str]) -> Sequence[Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError("the provider is down")
        return whole(model, texts)

    monkeypatch.setattr(HashEmbedder, "embed", breaks)

    library.work()
    found = status_of(library, told.import_id)
    assert (found.rows_done, found.rows_waiting) == (64, 36)
    assert found.shown.startswith("waiting until ")

    with library.hub.transaction() as session:
        session.execute(text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = now()"))
    library.work()

    assert status_of(library, told.import_id).shown == "completed"
    assert [s.text for s in library.segments(document_id)[1:]] == [
        f"Fact number {n}." for n in range(100)
    ]


def ruled(library: Library, rule: ProcessRule) -> None:
    """Have the dataset cut its texts so from now on."""
    with library.hub.transaction() as session:
        session.get_one(Dataset, library.dataset_id).process_rule = rule.stored()


def test_questions_get_their_answers_and_keep_them(library: Library) -> None:
    ruled(library, ProcessRule(mode=Mode.QA))
    document_id = library.add("a.csv", "question,answer\nWhere do otters swim?,In the river.\n")
    told = segments.import_segments(
        library.hub,
        document_id,
        table(library, "question,answer", "Who digs?,The badger.", "Who sleeps?,"),
    )
    segments.add_segment(library.hub, document_id, "Who runs?", answer="The fox.")
    library.work()

    first, *others = library.segments(document_id)
    segments.edit_segment(library.hub, first.id, "Where may otters swim?")
    segments.edit_segment(library.hub, others[0].id, "Who digs?", answer="The mole.")
    library.work()

    assert told.bad == [(3, "answer must have a letter, got none")]
    assert [(s.text, s.answer) for s in library.segments(document_id)] == [
        ("Where may otters swim?", "In the river."),
        ("Who digs?", "The mole."),
        ("Who runs?", "The fox."),
    ]


def test_an_edited_parent_gets_new_children(library: Library) -> None:
    ruled(library, ProcessRule(mode=Mode.PARENT_CHILD, child_tokens=10))
    document_id = library.add(
        "a.txt", "Otters swim in the river. They eat fish in the morning sun."
    )
    [segment] = library.segments(document_id)

    segments.edit_segment(
        library.hub, segment.id, "Badgers dig under the oak at night. They sleep all day in a sett."
    )
    segments.add_segment(
        library.hub, document_id, "Foxes run over the fields. They hunt mice at dawn."
    )
    library.work()

    with library.hub.transaction() as session:
        children = session.scalars(
            select(ChildSegment.text).order_by(ChildSegment.segment_id, ChildSegment.position)
        ).all()
    assert len(children) >= 4
    assert " ".join(children) == (
        "Badgers dig under the oak at night. They sleep all day in a sett. "
        "Foxes run over the fields. They hunt mice at dawn."
    )


def test_a_table_that_cannot_be_used_stores_nothing(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)

    with pytest.raises(BadImport, match="file must have a row with text, got none"):
        segments.import_segments(library.hub, document_id, table(library, "text", ""))
    with pytest.raises(BadImport, match="file could not be read"):
        segments.import_segments(library.hub, document_id, library.folder / "none.csv")

    assert library.jobs() == []
    assert library.count(SegmentEdit) == 0
