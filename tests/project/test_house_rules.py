"""The rules of this code base that no linter knows."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "taskhub"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
# Names that say nothing of what is inside, so that anything ends up there.
EMPTY_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "managers", "misc"} | {
    "service",
    "services",
    "util",
    "utils",
}
# Addresses that belong to one machine or one network. The brackets keep this file from matching.
FOREIGN = re.compile(
    r"(?<![\w.~:/])/(?:[r]oot|[w]ork|[h]ome|[U]sers|opt/[p]ypi|opt/[w]heels)/\w"
    r"|[p]ypi\.org/simple|files\.[p]ythonhosted|registry\.[n]pmjs"
    r"|--(?:extra-)?[i]ndex-url|--[f]ind-links"
)
# Quoted and commented text, in which a semicolon ends nothing.
OPAQUE_SQL = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|(?P<tag>\$\w*\$).*?(?P=tag)", re.DOTALL
)


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """Files that are in git or would go in with the next `git add`."""
    # Without its environment, git of a hook that runs the tests would look at another checkout, and
    # without safe.directory it refuses a checkout of another user.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_a_module_is_one_subject(module: Path) -> None:
    text = module.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("module", MODULES, ids=short)
def test_a_function_fits_on_a_screen(module: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    long = {
        node.name: lines
        for node in functions
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }

    assert long == {}


def test_a_file_is_named_for_what_it_does() -> None:
    code = [path.relative_to(ROOT) for path in tracked() if path.suffix in (".py", ".sql")]

    nameless = [path for path in code if {*path.parts[:-1], path.stem} & EMPTY_NAMES]

    assert nameless == []


def test_an_sql_file_holds_one_statement() -> None:
    several = {}
    for path in sorted(SOURCE.rglob("*.sql")):
        statements = OPAQUE_SQL.sub(" ", path.read_text(encoding="utf-8")).split(";")
        if (count := sum(bool(statement.strip()) for statement in statements)) != 1:
            several[short(path)] = count

    assert several == {}


def test_an_sql_file_is_loaded_by_name_somewhere() -> None:
    code = "\n".join(module.read_text(encoding="utf-8") for module in MODULES)

    unused = [p.name for p in sorted(SOURCE.rglob("*.sql")) if f'"{p.stem}"' not in code]

    assert unused == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a PDF or a picture
        found += [
            f"{short(path)}:{n}: {line}" for n, line in enumerate(lines, 1) if FOREIGN.search(line)
        ]

    assert found == []
