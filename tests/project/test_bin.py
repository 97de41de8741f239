"""The scripts of bin/ and the menu of the Makefile."""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "bin").iterdir() if path.is_file())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_what_it_does_and_stops_at_the_first_error(script: Path) -> None:
    first, second, *rest = script.read_text(encoding="utf-8").splitlines()

    assert first == "#!/bin/sh"
    assert second.startswith("# ")
    assert "set -eu" in rest
    assert script.stat().st_mode & 0o111 == 0o111


def test_the_menu_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))

    menu = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert set(re.findall(r"^  make (\w+)", menu.stdout, re.MULTILINE)) == targets


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What bin/setup needs of a checkout, in a folder with a space in its name."""
    place = tmp_path / "a check out"
    shutil.copytree(ROOT / "bin", place / "bin")
    shutil.copytree(ROOT / "requirements", place / "requirements")
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def setup(checkout: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bin/setup"],
        cwd=checkout,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stand_in(folder: Path, *, ensurepip: bool = True, pip: bool = True) -> Path:
    """A Python that installs nothing but notes, beside itself, what it was asked to do."""
    script = folder / "python"
    script.write_text(
        f"""#!/bin/sh
        case "$*" in
            *version_info*) ;;
            *fcntl*) exec "{sys.executable}" "$@" ;;
            *"import pip"*|"-m pip"*)
                {"" if pip else "exit 1"}
                echo "$*" | grep -o "all.txt\\|editable" >>"{folder}/asked" || : ;;
            *"from ensurepip"*) {"" if ensurepip else "exit 1"} ;;
            "-m venv"*)
                {"" if ensurepip else 'case "$*" in *without-pip*) ;; *) exit 1 ;; esac'}
                mkdir -p .venv/bin && cp "{script}" .venv/bin/python
                echo venv >>"{folder}/asked" ;;
        esac
        """
    )
    script.chmod(0o755)
    return script


def asked(folder: Path) -> list[str]:
    """What the stand-in was asked since the last look."""
    notes = folder / "asked"
    lines = notes.read_text().split() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return lines


def test_setup_does_only_what_has_changed(checkout: Path, tmp_path: Path) -> None:
    python = stand_in(tmp_path)

    assert setup(checkout, python).returncode == 0
    assert asked(tmp_path) == ["venv", "all.txt", "editable"]

    assert setup(checkout, python).stderr == ""
    assert asked(tmp_path) == []

    (checkout / "pyproject.toml").write_text("[project]")
    setup(checkout, python)
    assert asked(tmp_path) == ["editable"]

    (checkout / "requirements" / "all.txt").write_text("")
    setup(checkout, python)
    assert asked(tmp_path) == ["venv", "all.txt", "editable"]


def test_setup_makes_a_venv_anew_where_a_checkout_has_moved(checkout: Path, tmp_path: Path) -> None:
    python = stand_in(tmp_path)
    setup(checkout, python)
    asked(tmp_path)

    setup(checkout.rename(tmp_path / "moved"), python)

    assert asked(tmp_path) == ["venv", "all.txt", "editable"]


def test_two_setups_at_once_take_turns(checkout: Path, tmp_path: Path) -> None:
    python = stand_in(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: setup(checkout, python), range(4)))

    assert [one.returncode for one in done] == [0, 0, 0, 0]
    assert asked(tmp_path) == ["venv", "all.txt", "editable"]


def test_setup_refuses_a_python_that_is_not_there(checkout: Path) -> None:
    done = setup(checkout, "no-such-python")

    assert done.returncode == 1
    assert done.stderr == "setup: PYTHON must be Python 3.11 or newer, got no-such-python\n"


def test_setup_uses_the_pip_of_a_python_without_ensurepip(checkout: Path, tmp_path: Path) -> None:
    done = setup(checkout, stand_in(tmp_path, ensurepip=False))

    assert done.returncode == 0
    assert asked(tmp_path) == ["venv", "all.txt", "editable"]


def test_setup_says_which_package_of_debian_is_missing(checkout: Path, tmp_path: Path) -> None:
    done = setup(checkout, stand_in(tmp_path, ensurepip=False, pip=False))

    assert done.returncode == 1
    assert "`apt install python3-venv`" in done.stderr.splitlines()[-1]
    assert not (checkout / ".venv").exists()


def test_setup_leaves_no_half_venv(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()

    done = setup(checkout, stand_in(tmp_path, pip=False))

    assert done.returncode == 1
    assert not (checkout / ".venv").exists()
