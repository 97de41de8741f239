"""Every command in the README runs, in order, in a project made of the README's own code."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
POLICIES = "examples/handbook/policies"
ANSWER = "parental-leave.html"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _some_policies(folder: Path) -> None:
    """A few of the documents; the demo's test and `make demo` index all of them."""
    folder.mkdir(parents=True)
    of_all = sorted((ROOT / POLICIES).iterdir())
    for path in [*of_all[::8], ROOT / POLICIES / ANSWER]:
        (folder / path.name).write_bytes(path.read_bytes())


def test_every_shell_command_of_the_readme_runs(tmp_path: Path) -> None:
    _some_policies(tmp_path / POLICIES)
    [example] = blocks("python")
    (tmp_path / "shop.py").write_text(example)
    # The first block is what .ci/run does; the test suite cannot run itself.
    script = "\n".join(["set -eu", *blocks("sh")[1:], "taskhub db stop"])
    variables = {k: v for k, v in os.environ.items() if not k.startswith("TASKHUB_")}

    ended = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env=variables | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "parental-leave" in ended.stdout
    assert "shop.send_receipt" in ended.stdout


def test_the_pictures_of_the_readme_are_there_small_and_told_in_words() -> None:
    pictures = re.findall(r"!\[(.*?)\]\((docs/screens/.*?\.png)\)", README)

    assert len(pictures) == 2
    for words, path in pictures:
        content = (ROOT / path).read_bytes()
        assert len(words.split()) > 10
        assert content.startswith(b"\x89PNG")
        assert int.from_bytes(content[16:20], "big") == 1280
        assert len(content) < 200_000, path


def test_the_make_targets_of_the_readme_are_those_that_ci_runs() -> None:
    targets = set(re.findall(r"^make (\w+)", blocks("sh")[0], flags=re.MULTILINE))
    in_ci = set(re.findall(r"^step \d+ (\w+)", (ROOT / ".ci/run").read_text(), flags=re.MULTILINE))

    assert targets == {"demo", "test"}
    assert targets <= in_ci


def test_the_python_of_the_readme_defers_and_runs(tmp_path: Path, database: str) -> None:
    [example] = blocks("python")
    (tmp_path / "shop.py").write_text(example)
    use = (
        "import shop; from taskhub import Job; n = shop.place_order(); "
        "shop.hub.run_worker(wait=False); print(Job(n, '', shop.hub).result(timeout=5))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", use],
        cwd=tmp_path,
        env=os.environ | {"TASKHUB_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "receipt of order 7 in en-US" in ended.stdout, ended.stderr
