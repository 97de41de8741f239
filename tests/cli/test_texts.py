import json
from pathlib import Path

import pytest

from taskhub.cli import main


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_a_preview_shows_the_pieces_of_a_file_and_needs_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKHUB_DATABASE_URL", raising=False)
    file = tmp_path / "a.txt"
    file.write_text("one\n\ntwo\n\nthree")

    code, out, err = ran(
        capsys,
        "document",
        "preview",
        str(file),
        "--separator",
        r"\n\n",
        "--pieces",
        "2",
        "-o",
        "json",
    )

    assert code == 0
    assert [(row["position"], row["text"]) for row in json.loads(out)] == [(0, "one"), (1, "two")]
    assert "these are the first 2; --pieces shows more" in err


def test_a_preview_shows_children_and_answers_and_names_bad_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, text = tmp_path / "a.csv", tmp_path / "a.md"
    table.write_text("question,answer\nwhy?,because\nhow?,\n")
    text.write_text("# Otters\n\n" + "They swim well. " * 60)

    _, out, err = ran(capsys, "document", "preview", str(table), "--mode", "qa", "-o", "json")
    assert [(row["text"], row["answer"]) for row in json.loads(out)] == [("why?", "because")]
    assert "row 3: no answer" in err

    _, out, _ = ran(
        capsys, "document", "preview", str(text), "--child-tokens", "50",
        "--parent", "full_document", "-o", "json",
    )  # fmt: skip
    (parent,) = json.loads(out)
    assert len(parent["children"]) > 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.exe", [], "file extension must be one of .csv .docx"),
        ("a.pdf", [], "damaged pdf file"),
        ("missing.txt", [], "No such file"),
        ("a.txt", ["--tokens", "7"], "tokens must be from 50 to 4000, got 7"),
    ],
)
def test_a_preview_that_cannot_be_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    message: str,
) -> None:
    file = tmp_path / name
    if name != "missing.txt":
        file.write_bytes(b"x")

    code, _, err = ran(capsys, "document", "preview", str(file), *options)

    assert code != 0
    assert message in err
