"""Knowledge base: datasets, documents, segments, search, annotations."""

import pytest
from sqlalchemy import select

from taskhub import Hub
from taskhub.kb.annotations.models import Annotation
from taskhub.kb.segments.models import Segment
from taskhub.kb.ways_in import documents
from taskhub.queue import insight
from tests.dashboard.conftest import Browser
from tests.kb.makers import make_app, make_dataset
from tests.kb.ways_in.library import Library


def change(browser: Browser, document_id: int, wanted: str, page: str) -> str:
    form = {"id": str(document_id), "do": wanted, "reason": "to see", "back": page}
    return browser.follow(browser.act("/knowledge/documents/change", form, page=page)).text


@pytest.fixture
def waiting(library: Library) -> int:
    """A document that waits for a worker."""
    path = library.write("keys.txt", "The key hangs behind the clock.")
    return documents.add_document(library.hub, library.dataset_id, path)


def test_a_dataset_shows_its_documents_with_where_each_stands(
    reader: Browser, library: Library, waiting: int
) -> None:
    listing = reader.get("/knowledge").text
    page = reader.get(f"/knowledge/datasets/{library.dataset_id}").text

    assert f'href="/knowledge/datasets/{library.dataset_id}"' in listing
    assert "keys.txt" in page
    assert "waiting for a worker" in page
    library.work()
    done = reader.get(f"/knowledge/datasets/{library.dataset_id}?condition=completed").text
    assert "keys.txt" in done
    assert '<progress max="1" value="1"' in done
    failed = reader.get(f"/knowledge/datasets/{library.dataset_id}?condition=failed").text
    assert "keys.txt" not in failed


def test_a_document_is_paused_goes_on_and_is_cancelled(
    reader: Browser, library: Library, waiting: int
) -> None:
    page = f"/knowledge/documents/{waiting}"

    change(reader, waiting, "pause", page)
    assert library.status(waiting).condition == "paused"
    change(reader, waiting, "resume", page)
    assert library.status(waiting).condition in ("waiting", "interrupted")
    told = change(reader, waiting, "cancel", page)

    assert "1 of 1 documents were changed." in told
    assert library.status(waiting).condition == "cancelled"
    actions = [(row.action, row.reason) for row in insight.audit(library.hub)]
    assert actions == [
        ("document cancel", "to see"),
        ("document resume", "to see"),
        ("document pause", "to see"),
    ]


def test_a_cancelled_document_is_tried_again_and_a_whole_one_indexed_anew(
    reader: Browser, library: Library, waiting: int
) -> None:
    page = f"/knowledge/documents/{waiting}"
    change(reader, waiting, "cancel", page)

    change(reader, waiting, "retry", page)
    library.work()
    assert library.status(waiting).condition == "completed"

    before = [segment.id for segment in library.segments(waiting)]
    change(reader, waiting, "index", page)
    library.work()
    assert library.status(waiting).condition == "completed"
    assert [segment.id for segment in library.segments(waiting)] != before


def test_a_document_is_switched_off_and_not_found(
    reader: Browser, library: Library, waiting: int
) -> None:
    library.work()
    change(reader, waiting, "disable", f"/knowledge/documents/{waiting}")
    assert library.find("key clock") == []

    change(reader, waiting, "enable", f"/knowledge/documents/{waiting}")

    assert len(library.find("key clock")) == 1


def test_what_cannot_be_changed_is_told_and_the_others_go_on(
    reader: Browser, library: Library, waiting: int
) -> None:
    form = {
        "id": [str(waiting), "99999"],
        "do": "pause",
        "back": f"/knowledge/datasets/{library.dataset_id}",
    }
    answer = reader.act("/knowledge/documents/change", form)
    page = reader.follow(answer).text

    assert "1 of 2 documents were changed." in page
    assert "99999: document 99999 does not exist" in page
    [row] = insight.audit(library.hub)
    assert (row.matched, row.changed, row.outcome) == (2, 1, "partly")


def test_a_segment_is_switched_off_and_not_found(
    reader: Browser, library: Library, waiting: int
) -> None:
    library.work()
    [segment] = library.segments(waiting)
    page = f"/knowledge/documents/{waiting}"
    assert "behind the clock" in reader.get(page).text

    form = {"id": str(segment.id), "enabled": "0", "back": page}
    told = reader.follow(reader.act("/knowledge/segments/switch", form, page=page)).text

    assert "switched off" in told
    with library.hub.transaction() as session:
        assert session.scalar(select(Segment.enabled)) is False
    assert library.find("key clock") == []


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_the_search_box_asks_by_each_method_and_shows_scores(
    reader: Browser, library: Library, waiting: int, mode: str
) -> None:
    library.work()

    page = reader.get(f"/knowledge/search?q=key+behind+the+clock&mode={mode}").text

    assert "The key hangs behind the clock." in page
    assert '<td class="n">0.' in page or '<td class="n">1.' in page
    assert f'<option value="{mode}" selected>' in page


def test_a_question_that_cannot_be_asked_is_told(reader: Browser, library: Library) -> None:
    page = reader.get("/knowledge/search", params={"q": "x" * 10_001})

    assert "question must be at most 10000 characters long" in page.text


def test_annotations_are_written_switched_and_deleted(reader: Browser, family: Hub) -> None:
    with family.transaction() as session:
        app_id = make_app(session).id
    page = f"/knowledge/apps/{app_id}"
    form = {"app_id": str(app_id), "question": "Who <b>?", "answer": "Mei", "back": page}
    shown = reader.follow(reader.act("/knowledge/annotations/add", form, page=page)).text
    assert "Who &lt;b&gt;?" in shown
    with family.transaction() as session:
        [made] = session.scalars(select(Annotation)).all()
        annotation_id = made.id

    chosen = {"app_id": str(app_id), "id": str(annotation_id), "back": page}
    reader.act("/knowledge/annotations/change", {**chosen, "do": "disable"}, page=page)
    with family.transaction() as session:
        assert session.scalar(select(Annotation.enabled)) is False
    refused = reader.act("/knowledge/annotations/change", {**chosen, "do": "delete"}, page=page)
    assert "Nothing was deleted" in reader.follow(refused).text
    sure = {**chosen, "do": "delete", "sure": "1"}
    reader.act("/knowledge/annotations/change", sure, page=page)
    family.run_worker(wait=False)

    with family.transaction() as session:
        assert session.scalars(select(Annotation)).all() == []
    assert str(app_id) in reader.get("/knowledge/apps").text
    actions = [row.action for row in insight.audit(family)]
    assert actions == ["annotation delete", "annotation disable", "annotation add"]


def test_a_hub_without_the_family_shows_it_and_changes_nothing(browser: Browser, hub: Hub) -> None:
    with hub.transaction() as session:
        dataset_id = make_dataset(session).id

    page = browser.get(f"/knowledge/datasets/{dataset_id}")

    assert page.status_code == 200
    refused = browser.act("/knowledge/documents/change", {"id": "1", "do": "pause"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["datasets/7", "documents/7", "apps/7", f"documents/{'9' * 30}"],
)
def test_what_is_not_there_is_told(browser: Browser, path: str) -> None:
    assert browser.get(f"/knowledge/{path}").status_code == 404


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "1e3", "٣"])
def test_any_place_to_begin_at_is_taken(reader: Browser, library: Library, after: str) -> None:
    path = f"/knowledge/datasets/{library.dataset_id}"

    assert reader.get(path, params={"after": after}).status_code == 200
