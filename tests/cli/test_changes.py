"""`taskhub document …` and `taskhub segment …` for what is there already, as a script runs them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets.create import create
from taskhub.kb.ways_in import documents
from taskhub.settings import Settings
from tests.cli.conftest import Run

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    made = app.build(settings)
    yield made
    made.close()


@pytest.fixture
def document_id(hub: Hub, tmp_path: Path) -> int:
    (tmp_path / "a.txt").write_text("Otters swim in the river.")
    with hub.transaction() as session:
        tenant = ensure(session, "default")
        dataset_id = create(session, tenant.id, "house", embedding_model="hash").id
    made = documents.add_document(hub, dataset_id, tmp_path / "a.txt")
    hub.run_worker(wait=False)
    return made


@pytest.fixture
def ask(command: Run, project: Path) -> Ask:
    """The exit code and what was printed, with the built-in knowledge base for an app."""
    (project / "taskhub.toml").unlink()

    def asked(*words: object) -> tuple[int, str]:
        done = command(*map(str, words))
        return done.returncode, done.stdout or done.stderr

    return asked


def test_documents_are_switched_and_a_missing_one_is_exit_code_7(
    ask: Ask, document_id: int
) -> None:
    for name, told in (
        ("disable", "disabled"),
        ("enable", "enabled"),
        ("archive", "archived"),
        ("unarchive", "unarchived"),
    ):
        code, out = ask("document", name, document_id, 999, "-o", "json")

        rows = [(row["document_id"], row["outcome"]) for row in json.loads(out)]
        assert (code, rows) == (7, [(document_id, told), (999, "does not exist")])


def test_a_document_is_replaced_and_the_same_file_is_unchanged(
    ask: Ask, document_id: int, tmp_path: Path
) -> None:
    same = ask("document", "replace", document_id, tmp_path / "a.txt", "-o", "json")
    (tmp_path / "b.txt").write_text("Badgers dig.")
    other = ask("document", "replace", document_id, tmp_path / "b.txt", "-o", "json")
    bad = ask("document", "replace", document_id, tmp_path / "none.txt")

    assert (same[0], json.loads(same[1])["outcome"]) == (0, "unchanged")
    assert (other[0], json.loads(other[1])["outcome"]) == (0, "deferred")
    assert bad == (1, "error: file does not exist; it may have been moved\n")


def test_a_document_is_deleted_when_somebody_confirms(ask: Ask, hub: Hub, document_id: int) -> None:
    code, out = ask("document", "rm", document_id, 999, "--dry-run", "-o", "json")
    assert (code, [row["outcome"] for row in json.loads(out)]) == (
        7,
        ["would go with 1 segments", "does not exist"],
    )
    assert ask("document", "rm", document_id)[0] == 9

    code, out = ask("document", "rm", document_id, "--yes", "-o", "json")
    listed = ask("document", "ls", "--dataset", "house", "-o", "ids")
    hub.run_worker(wait=False)

    assert (code, json.loads(out)[0]["outcome"]) == (0, "deleted")
    assert listed == (0, "")
    assert ask("document", "show", document_id)[0] == 1


def test_documents_are_retried_and_compared_by_id_or_by_dataset(ask: Ask, document_id: int) -> None:
    code, out = ask("document", "retry", document_id, "-o", "json")
    assert (code, json.loads(out)[0]["outcome"]) == (7, "completed already")
    code, out = ask("document", "sync", document_id, "-o", "json")
    assert (code, json.loads(out)[0]["outcome"]) == (0, "deferred")

    for words in (("sync",), ("retry", 1, "--failed"), ("retry", "--failed")):
        code, out = ask("document", *words)
        assert code == 2, out


@pytest.mark.usefixtures("document_id")
def test_an_address_is_added_to_be_fetched_and_another_scheme_is_refused(ask: Ask) -> None:
    code, out = ask("document", "fetch", "https://example.org/a.pdf", "--dataset", "house")
    bad = ask("document", "fetch", "file:///etc/passwd", "--dataset", "house")

    assert (code, "job_id" in out) == (0, True)
    assert bad[0] == 2
    assert "web address must begin with http:// or https://, got 'file'" in bad[1]


@pytest.mark.usefixtures("document_id")
def test_a_whole_dataset_is_compared_retried_and_indexed_anew(ask: Ask) -> None:
    for words in ("sync", "update"):
        tried = ask("document", words, "--dataset", "house", "--dry-run", "-o", "ids")
        assert tried == (0, "1\n")
        assert ask("document", words, "--dataset", "house")[0] == 9
    assert len(ask("document", "sync", "--dataset", "house", "--yes", "-o", "ids")[1].split()) == 1
    code, told = ask("document", "retry", "--failed", "--dataset", "house", "--yes", "-o", "ids")
    assert (code, told[:7]) == (0, "0 jobs ")
    assert (
        len(ask("document", "update", "--dataset", "house", "--yes", "-o", "ids")[1].split()) == 1
    )


def test_segments_are_listed_edited_switched_and_deleted(ask: Ask, document_id: int) -> None:
    [line] = json.loads(ask("segment", "ls", document_id, "-o", "json")[1])
    segment_id = line["segment_id"]
    assert (line["text"], line["enabled"], line["edited"]) == (
        "Otters swim in the river.",
        True,
        False,
    )

    assert ask("segment", "set", segment_id, "Foxes run.")[0] == 0
    assert ask("segment", "add", document_id, "Badgers dig.")[0] == 0
    assert json.loads(ask("segment", "ls", document_id, "-o", "json")[1])[0]["edited"] is True
    assert ask("segment", "disable", segment_id)[0] == 0
    assert ask("segment", "enable", segment_id, 999)[0] == 7
    assert "would be deleted" in ask("segment", "rm", segment_id, "--dry-run")[1]
    assert ask("segment", "rm", segment_id)[0] == 9
    assert ask("segment", "rm", segment_id, "--yes")[0] == 0
    assert ask("segment", "ls", document_id, "-o", "ids") == (0, "")
    assert ask("segment", "ls", 999) == (
        1,
        "error: document 999 does not exist; it may have been deleted\n",
    )


def test_a_table_is_imported_and_its_bad_lines_are_named(
    ask: Ask, hub: Hub, document_id: int, tmp_path: Path
) -> None:
    path = tmp_path / "facts.csv"
    path.write_text("text\nFoxes run.\nCats, dogs\n")

    code, out = ask("segment", "import", path, "--document", document_id, "-o", "json")
    told = json.loads(out)
    hub.run_worker(wait=False)
    found = json.loads(ask("segment", "imports", told["import_id"], "-o", "json")[1])

    assert (code, told["rows"], told["bad_rows"]) == (7, 1, 1)
    assert (found["state"], found["done"]) == ("completed, 1 rows left out", 1)
    assert found["bad_lines"] == [
        "line 3: row must have 1 column, got 2; put a text with a separator in it in double quotes"
    ]
    assert ask("segment", "import", tmp_path / "none.csv", "--document", document_id) == (
        1,
        "error: file could not be read: No such file or directory\n",
    )
