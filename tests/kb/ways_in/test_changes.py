"""Documents tried again, renewed, compared with their source and switched, on a real worker."""

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Status
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.failures import BadDocument, UnknownDocument
from taskhub.kb.documents.models import Document, DocumentPart, DocumentState
from taskhub.kb.documents.state import Condition, statuses
from taskhub.kb.documents.switches import ArchivedDocument
from taskhub.kb.search import Mode
from taskhub.kb.segments.models import ChildSegment, Segment
from taskhub.kb.segments.rules import Mode as Cutting
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.tasks import documents as tasks
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.ways_in import changes, documents, segments
from tests.kb.documents.site import Site, send
from tests.kb.ways_in.library import Library

OTTERS = "Otters swim in the river."
BADGERS = "Badgers dig under the oak."


def failing_index(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next index job end as failed half-way, and mend it again."""

    def breaks(_: HashEmbedder, texts: list[str]) -> Sequence[Any]:
        raise BadDocument("damaged", "the model is down")  # type: ignore[arg-type]  # any reason

    with monkeypatch.context() as patched:
        patched.setattr(HashEmbedder, "embed", breaks)
        library.work()


# Replace


def test_a_new_version_is_found_from_the_moment_the_old_one_is_not(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    seen: list[tuple[list[str], list[str]]] = []
    whole = HashEmbedder.embed

    def looks(model: HashEmbedder, texts: list[str]) -> Sequence[Any]:
        seen.append((library.find("otters"), library.find("badgers")))
        return whole(model, texts)

    told = changes.replace_document(
        library.hub, document_id, library.write("b.md", f"# Badgers\n\n{BADGERS}")
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(HashEmbedder, "embed", looks)
        library.work()

    assert told.outcome == "deferred"
    assert seen
    assert set(map(str, seen)) == {str(([OTTERS], []))}
    assert library.find("otters") == []
    assert [BADGERS in hit for hit in library.find("badgers")] == [True]
    document = library.document(document_id)
    assert (document.name, document.format, document.state) == ("b.md", "md", "completed")
    assert document.enabled


def test_nothing_of_the_old_version_is_left(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))

    library.work()

    counts = [library.count(m) for m in (Document, DocumentPart, Segment)]
    assert [*counts, library.vectors()] == [1, 1, 1, 1]
    assert [s.position for s in library.segments(document_id)] == [0]


def test_the_same_file_again_costs_nothing(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)

    told = changes.replace_document(library.hub, document_id, library.folder / "a.txt")

    assert (told.outcome, told.job_id) == ("unchanged", None)
    assert library.jobs() == []
    assert library.count(Document) == 1


def test_of_a_new_version_only_the_changed_passages_are_embedded(library: Library) -> None:
    paragraphs = [f"Paragraph {n}. " + f"Fact {n} about otters. " * 60 for n in range(8)]
    document_id = library.add("a.txt", "\n\n".join(paragraphs))
    before = library.embedded()
    paragraphs[7] = "Paragraph 7. " + "It is all different now. " * 60
    changes.replace_document(
        library.hub, document_id, library.write("a.txt", "\n\n".join(paragraphs))
    )

    library.work()

    assert 0 < library.embedded() - before < before / 2


def test_a_bad_file_is_refused_at_once_and_the_document_stays(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)

    with pytest.raises(BadDocument, match="empty file"):
        changes.replace_document(library.hub, document_id, library.write("b.txt", ""))

    assert (library.find("otters"), library.count(Document)) == ([OTTERS], 1)


def test_a_version_that_fails_leaves_the_document_as_it_is_until_it_is_retried(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))
    failing_index(library, monkeypatch)
    assert library.find("otters") == [OTTERS]
    assert library.status(document_id).condition is Condition.COMPLETED

    [told] = changes.retry_documents(library.hub, [document_id])
    library.work()

    assert told.outcome == "deferred"
    assert (library.find("otters"), library.find("badgers")) == ([], [BADGERS])


def test_a_newer_version_overtakes_one_that_is_being_made(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    first = changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))
    changes.replace_document(library.hub, document_id, library.write("c.txt", "Foxes run."))

    library.work()

    assert [s.text for s in library.segments(document_id)] == ["Foxes run."]
    assert library.count(Document) == 1
    assert library.job(first.job_id).status() is Status.CANCELLED


def test_a_version_that_is_being_made_is_not_listed(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))

    with library.hub.transaction() as session:
        listed = statuses(session, library.dataset_id)

    assert [found.document_id for found in listed] == [document_id]
    assert library.count(Document) == 2


def test_a_document_that_was_off_is_off_in_its_new_version(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.enable_documents(library.hub, [document_id], enabled=False)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))

    library.work()

    assert library.find("badgers") == []
    changes.enable_documents(library.hub, [document_id], enabled=True)
    assert library.find("badgers") == [BADGERS]


def test_an_edit_of_the_old_version_does_not_get_into_the_new_one(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))
    library.hub.run_worker(wait=False, queues=["none"])
    segments.edit_segment(library.hub, segment.id, "Foxes run.")

    library.work()

    assert [s.text for s in library.segments(document_id)] == [BADGERS]


def test_a_take_over_that_runs_twice_changes_nothing(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))
    library.work()
    before = [s.id for s in library.segments(document_id)]

    from taskhub.kb.tasks.replacing import duplicate_document_indexing

    duplicate_document_indexing.options(autocommit=True).defer(document_id, document_id + 1)
    library.work()

    assert [s.id for s in library.segments(document_id)] == before


def test_changed_rules_are_applied_while_the_old_pieces_can_be_found(library: Library) -> None:
    content = " ".join(f"Fact {n} about otters is short." for n in range(100))
    document_id = library.add("a.txt", content)
    assert library.document(document_id).segments_total > 1
    with library.hub.transaction() as session:
        session.get_one(Dataset, library.dataset_id).process_rule = ProcessRule(
            tokens=4000
        ).stored()

    jobs = changes.update_dataset(library.hub, library.dataset_id)
    library.work()

    assert len(jobs) == 1
    assert library.document(document_id).segments_total == 1
    assert library.count(DocumentPart) == 1
    assert library.find("otters", Mode.VECTOR)[0].startswith("Fact 0")


def test_a_document_that_is_deleted_goes_with_the_version_that_is_being_made(
    library: Library,
) -> None:
    document_id = library.add("a.txt", OTTERS)
    replaced = changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))

    [told, missing] = changes.delete_documents(library.hub, [document_id, 0])
    assert library.find("otters") == []
    library.work()

    assert (told.outcome, missing.outcome) == ("deleted", "does not exist")
    assert library.job(replaced.job_id).status() is Status.CANCELLED
    counts = [library.count(m) for m in (Document, DocumentPart, Segment)]
    assert [*counts, library.vectors()] == [0, 0, 0, 0]


def test_a_version_that_is_whole_when_its_document_was_deleted_goes_too(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.replace_document(library.hub, document_id, library.write("b.txt", BADGERS))
    library.broken(document_id, "deleted_at = now()")

    library.work()

    assert library.count(Document) == 1
    assert library.count(Segment) == 1  # the document's own, which its clean-up removes


def test_a_rule_of_the_documents_own_is_that_of_its_next_version(library: Library) -> None:
    parents = ProcessRule(mode=Cutting.PARENT_CHILD, child_tokens=10)
    document_id = library.add("a.txt", OTTERS)
    with library.hub.transaction() as session:
        session.get_one(Document, document_id).process_rule = parents.stored()
    content = "Badgers dig under the oak at night. Then they sleep until the sun goes down again."
    changes.replace_document(library.hub, document_id, library.write("b.txt", content))

    library.work()

    assert library.document(document_id).process_rule == parents.stored()
    children = library.count(ChildSegment, document_id=document_id)
    assert children == library.count(ChildSegment) > 1


# Retry


def test_a_missing_document_is_told_and_the_others_are_retried(library: Library) -> None:
    late = library.add("late.txt", "")
    good = library.add("good.txt", OTTERS)
    library.write("late.txt", BADGERS)

    told = changes.retry_documents(library.hub, [0, late, good])
    library.work()

    assert [(c.document_id, c.is_done) for c in told] == [(0, False), (late, True), (good, False)]
    assert "document 0 does not exist" in told[0].outcome
    assert told[2].outcome == "completed already"
    assert library.find("badgers") == [BADGERS]


def test_a_second_retry_finds_the_first_ones_job(library: Library) -> None:
    late = library.add("late.txt", "")

    told = [changes.retry_documents(library.hub, [late])[0] for _ in range(2)]

    assert [c.outcome for c in told] == ["deferred", "waits for a worker already"]
    assert library.jobs() == ["document_indexing"]


def test_all_that_failed_of_a_dataset_is_retried_by_one_job(library: Library) -> None:
    failed = [library.add(f"{n}.txt", "") for n in range(3)]
    library.add("good.txt", OTTERS)
    for n in range(3):
        library.write(f"{n}.txt", f"{BADGERS} {n}")
    with library.hub.transaction() as session:
        session.execute(text(f"DELETE FROM taskhub_kb.documents WHERE id = {failed[1]}"))
    tasks.retry_document_indexing.options(autocommit=True).defer([*failed, 0])

    [job_id] = changes.retry_failed(library.hub, library.dataset_id)
    library.work()

    assert len(library.find("badgers")) == 2
    assert library.job(job_id).status() is Status.SUCCEEDED


def test_the_job_of_a_retry_names_what_it_could_not_retry(library: Library) -> None:
    late = library.add("late.txt", "")
    library.write("late.txt", BADGERS)

    job = tasks.retry_document_indexing.options(autocommit=True).defer([0, late])
    library.work()

    assert job.result(5) == {"deferred": 1, "not_deferred": {"0": "does not exist"}}


def test_a_document_whose_job_is_gone_goes_on_from_where_it_stood(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    [segment] = library.segments(document_id)
    library.broken(document_id, "state = 'indexing', job_id = 987654321")

    changes.recover_documents(library.hub, [document_id])
    library.work()

    assert library.document(document_id).state is DocumentState.COMPLETED
    assert [s.id for s in library.segments(document_id)] == [segment.id]


def test_a_paused_document_goes_on_with_the_segments_it_has(library: Library) -> None:
    document_id = documents.add_document(
        library.hub, library.dataset_id, library.write("a.txt", OTTERS)
    )
    documents.pause_document(library.hub, document_id)
    library.work()
    assert library.document(document_id).state is DocumentState.PAUSED

    changes.recover_documents(library.hub, [0, document_id])
    library.work()

    assert library.find("otters") == [OTTERS]


def test_segments_that_were_left_out_are_retried_while_the_others_are_found(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HashEmbedder._vector
    with monkeypatch.context() as patched:
        patched.setattr(
            HashEmbedder,
            "_vector",
            lambda model, text: [float("nan")] * 512 if "badger" in text else whole(model, text),
        )
        document_id = library.add("a.txt", OTTERS)
        segments.add_segment(library.hub, document_id, "Foxes run.")
        library.work()
    library.broken(
        document_id, "error = '1 of 2 segments left out: x', error_kind = 'segments_left_out'"
    )
    with library.hub.transaction() as session:
        session.execute(
            text("UPDATE taskhub_kb.segments SET state = 'error', error = 'x' WHERE position = 1")
        )

    [told] = changes.retry_documents(library.hub, [document_id])

    assert told.outcome == "deferred"
    assert library.find("otters") == [OTTERS]
    library.work()
    assert library.find("foxes") == ["Foxes run."]
    assert library.document(document_id).error is None


# Sync


def test_a_changed_file_is_indexed_anew_and_an_unchanged_one_costs_a_look(
    library: Library,
) -> None:
    document_id = library.add("a.txt", OTTERS)

    [told] = changes.sync_documents(library.hub, [document_id])
    library.work()
    assert library.job(told.job_id).result(5) == {"changed": False}
    assert library.document(document_id).synced_at is not None

    library.write("a.txt", BADGERS)
    [told] = changes.sync_documents(library.hub, [document_id])
    library.work()

    assert (library.find("otters"), library.find("badgers")) == ([], [BADGERS])


def test_a_document_whose_file_is_gone_stays_and_its_job_says_so(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    (library.folder / "a.txt").unlink()

    [told] = changes.sync_documents(library.hub, [document_id])
    library.work()

    assert "the source does not exist any more" in library.failure(told.job_id)
    assert library.find("otters") == [OTTERS]


def test_a_page_is_fetched_indexed_and_asked_for_by_its_mark_alone(
    library: Library, site: Site
) -> None:
    html = f"<html><body><p>{OTTERS}</p></body></html>".encode()

    def answer(asked: BaseHTTPRequestHandler) -> None:
        is_same = asked.headers["if-none-match"] == '"1"'
        send(
            asked,
            304 if is_same else 200,
            b"" if is_same else html,
            content_type="text/html",
            etag='"1"',
        )

    site.pages["/docs/animals"] = answer
    added = changes.add_url(library.hub, library.dataset_id, site.url("/docs/animals"))
    library.work()

    document = library.document(added.document_id)
    assert (document.name, document.format, document.state) == ("animals.html", "html", "completed")
    assert document.source == site.url("/docs/animals")
    assert library.find("otters") == [OTTERS]

    [told] = changes.sync_documents(library.hub, [added.document_id])
    library.work()

    assert library.job(told.job_id).result(5) == {"changed": False}
    assert site.asked[-1][1]["if-none-match"] == '"1"'


def test_a_changed_page_replaces_what_was_found_of_it(library: Library, site: Site) -> None:
    url = site.page("/a.txt", OTTERS.encode(), content_type="text/plain")
    added = changes.add_url(library.hub, library.dataset_id, url)
    library.work()
    site.page("/a.txt", BADGERS.encode(), content_type="text/plain", etag='"2"')

    jobs = changes.sync_dataset(library.hub, library.dataset_id)
    library.work()

    assert len(jobs) == 1
    assert (library.find("otters"), library.find("badgers")) == ([], [BADGERS])
    document = library.document(added.document_id)
    assert (document.source, document.source_etag) == (url, '"2"')
    assert library.count(Document) == 1


def test_a_page_that_is_gone_leaves_what_was_found_of_it(library: Library, site: Site) -> None:
    url = site.page("/a.txt", OTTERS.encode(), content_type="text/plain")
    added = changes.add_url(library.hub, library.dataset_id, url)
    library.work()
    del site.pages["/a.txt"]

    [told] = changes.sync_documents(library.hub, [added.document_id])
    library.work()

    assert "localhost answered 404" in library.failure(told.job_id)
    assert library.find("otters") == [OTTERS]


def test_a_page_that_was_never_got_ends_in_a_named_error_and_can_be_retried(
    library: Library, site: Site
) -> None:
    added = changes.add_url(library.hub, library.dataset_id, site.url("/a.txt"))
    library.work()
    status = library.status(added.document_id)
    assert (status.condition, status.error) == (
        Condition.FAILED,
        "localhost answered 404 Not Found",
    )
    site.page("/a.txt", OTTERS.encode(), content_type="text/plain")

    changes.retry_documents(library.hub, [added.document_id])
    library.work()

    assert library.find("otters") == [OTTERS]


def test_a_page_of_the_inner_network_ends_in_a_named_error(library: Library, site: Site) -> None:
    site.page("/a.txt", b"password")
    added = changes.add_url(library.hub, library.dataset_id, site.url("/a.txt", "127.0.0.1"))

    library.work()

    assert "is not in the public internet" in (library.status(added.document_id).error or "")
    assert site.asked == []


def test_a_page_that_asks_to_come_again_is_asked_again_later(library: Library, site: Site) -> None:
    site.pages["/a.txt"] = lambda asked: send(asked, 429, b"", retry_after="900")
    added = changes.add_url(library.hub, library.dataset_id, site.url("/a.txt"))

    library.work()

    with library.hub.transaction() as session:
        seconds = session.scalar(
            text(
                "SELECT extract(epoch FROM scheduled_at - now())::float"
                " FROM taskhub.procrastinate_jobs WHERE id = :id"
            ),
            {"id": added.job_id},
        )
    assert seconds == pytest.approx(900, abs=60)


def test_what_has_no_source_or_is_away_is_told_and_the_others_are_compared(
    library: Library,
) -> None:
    bare, away, good = (library.add(f"{n}.txt", f"{OTTERS} {n}") for n in range(3))
    library.broken(bare, "source = NULL")
    changes.archive_documents(library.hub, [away], archived=True)

    told = changes.sync_documents(library.hub, [bare, away, good])

    assert [c.is_done for c in told] == [False, False, True]
    assert "has no source" in told[0].outcome
    assert "is archived" in told[1].outcome


# Switches


@pytest.mark.parametrize("mode", list(Mode))
def test_what_is_switched_off_or_put_away_is_not_found_from_the_commit_on(
    library: Library, mode: Mode
) -> None:
    document_id = library.add("a.txt", OTTERS)

    found = []
    for switch, name, on in (
        (changes.enable_documents, "enabled", False),
        (changes.enable_documents, "enabled", True),
        (changes.archive_documents, "archived", True),
        (changes.archive_documents, "archived", False),
    ):
        switch(library.hub, [document_id], **{name: on})
        found.append(len(library.find(OTTERS, mode)))

    assert found == [0, 1, 0, 1]
    assert library.vectors() == 1
    assert library.jobs() == []


def test_a_document_that_was_off_when_it_was_put_away_is_off_when_it_comes_back(
    library: Library,
) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.enable_documents(library.hub, [document_id], enabled=False)
    changes.archive_documents(library.hub, [document_id], archived=True)

    changes.archive_documents(library.hub, [document_id], archived=False)

    assert library.find("otters") == []


def test_a_switch_tells_which_documents_there_are(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)

    told = changes.enable_documents(library.hub, [document_id, 0], enabled=False)

    assert [(c.document_id, c.outcome, c.is_done) for c in told] == [
        (document_id, "disabled", True),
        (0, "does not exist", False),
    ]


def test_what_is_put_away_refuses_a_new_version(library: Library, tmp_path: Path) -> None:
    document_id = library.add("a.txt", OTTERS)
    changes.archive_documents(library.hub, [document_id], archived=True)

    with pytest.raises(ArchivedDocument, match="is archived"):
        changes.replace_document(library.hub, document_id, tmp_path / "a.txt")
    with pytest.raises(UnknownDocument, match="document 0 does not exist"):
        changes.replace_document(library.hub, 0, tmp_path / "a.txt")
