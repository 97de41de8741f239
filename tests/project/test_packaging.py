"""What travels in a wheel, and what an editable install leaves behind."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(hook: str, folder: Path) -> set[str]:
    """The names in the wheel that hatchling's `hook` builds of this checkout."""
    call = f"import sys, hatchling.build as b; print(b.{hook}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", call, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(zipfile.ZipFile(folder / done.stdout.split()[-1]).namelist())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return build("build_wheel", tmp_path_factory.mktemp("wheel"))


def test_a_wheel_holds_every_file_of_the_package(wheel: set[str]) -> None:
    package = ROOT / "src" / "taskhub"
    files = {
        f"taskhub/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files - wheel == set()
    assert "taskhub/py.typed" in wheel


@pytest.mark.parametrize(
    ("folder", "inside"),
    [("alembic", "taskhub/_alembic"), ("examples/handbook", "taskhub/_handbook")],
)
def test_a_wheel_holds_what_the_package_reads_from_outside(
    wheel: set[str], folder: str, inside: str
) -> None:
    files = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files
    assert files - wheel == set()


def test_a_wheel_holds_nothing_but_the_package(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"taskhub"}
    assert not [name for name in wheel if name.endswith(".pyc")]


def test_an_editable_install_copies_no_file_of_the_project(tmp_path: Path) -> None:
    names = build("build_editable", tmp_path)

    # A copied migration would go on running after the one in the checkout was changed.
    assert {name for name in names if ".dist-info/" not in name} == {"_taskhub.pth"}
