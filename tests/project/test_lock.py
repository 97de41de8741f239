"""requirements/all.txt: what `bin/setup` installs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "all.txt").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)([^\n]*)((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)*)", re.MULTILINE
)


def pins() -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for name, version, _, _ in PIN.findall(LOCK):
        found.setdefault(name, set()).add(Version(version))
    return found


def wishes() -> list[str]:
    """Everything that pyproject.toml asks for, wherever it does."""
    tables = (PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"])
    lists = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *(wished for table in tables for wished in table.values()),
    ]
    # A group that includes another one is a table, not a text.
    return sorted({wish for wished in lists for wish in wished if isinstance(wish, str)})


@pytest.mark.parametrize("wish", wishes())
def test_the_lock_fulfils_every_requirement_of_the_project(wish: str) -> None:
    requirement = Requirement(wish)
    name = canonicalize_name(requirement.name)
    if name == "taskhub":
        assert requirement.extras <= set(PROJECT["project"]["optional-dependencies"])
        return

    versions = pins().get(name, set())

    assert versions, f"{name} is not in requirements/all.txt; run bin/lock"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_every_pin_has_a_hash_and_there_is_nothing_but_pins() -> None:
    unhashed = [name for name, _, _, hashes in PIN.findall(LOCK) if "--hash=" not in hashes]
    rest = PIN.sub("", LOCK)

    assert unhashed == []
    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
