from pathlib import Path

from taskhub.kb.documents.walk import Found, walk


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


def names(root: Path) -> list[str]:
    return [found.path.relative_to(root).as_posix() for found in walk(root)]


def test_files_come_sorted_and_hidden_names_are_skipped(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "a.txt", "z/1.txt", "c/2.txt", ".git/config", ".hidden", "c/.x/y")

    assert names(tmp_path) == ["a.txt", "b.txt", "c/2.txt", "z/1.txt"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.txt")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")

    assert names(tmp_path) == ["self", "sub/a.txt"]


def test_a_path_that_is_no_directory_is_the_file_found(tmp_path: Path) -> None:
    assert list(walk(tmp_path / "nothing.txt")) == [Found(tmp_path / "nothing.txt")]


def test_a_tree_deeper_than_python_recurses_is_walked(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(600):
        deep /= "d"
    make(deep, "bottom.txt")

    assert [found.path.name for found in walk(tmp_path)] == ["bottom.txt"]
