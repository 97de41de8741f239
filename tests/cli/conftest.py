"""The command line in a project of its own: in this process, or as one of its own."""

import importlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskhub.cli import main
from tests.cli.terminals import Terminal

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Open = Callable[..., Terminal]

SHOP = """
from taskhub import Backoff, Context, Fail, Hub

hub = Hub()


@hub.task(name="send", queue="mail")
def send(ctx: Context, order_id: int, language: str = "en-US") -> str:
    if order_id == 13:
        raise Fail("no such order")
    return f"{order_id} in {language}"
"""


@contextmanager
def _logs_and_signals_kept() -> Iterator[None]:
    """A worker sets both for its whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for number, handler in signals.items():
            signal.signal(number, handler)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a shop.py that is its app."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "taskhub.toml").write_text('app = "shop:hub"\n')
    return tmp_path


@pytest.fixture
def process(project: Path, database: str) -> Run:
    """Runs `taskhub …` in the project, on the test's own database, as a process of its own."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "taskhub", *arguments],
            cwd=project,
            env=os.environ | {"TASKHUB_DATABASE_URL": database} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def command(
    project: Path,
    database: str,
    process: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """As `process`, but in this process, which loads the libraries once and not a hundred times.

    Several workers, and one that runs on, still get processes of their own.
    """

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        if "worker" in arguments and ("--burst" not in arguments or "--processes" in arguments):
            return process(*arguments, **variables)
        capsys.readouterr()
        with (
            _logs_and_signals_kept(),
            monkeypatch.context() as inside,
            pytest.raises(SystemExit) as ended,
        ):
            inside.chdir(project)
            inside.setattr(sys, "path", [*sys.path])
            inside.delitem(sys.modules, "shop", raising=False)
            for name, value in {"TASKHUB_DATABASE_URL": database, **variables}.items():
                inside.setenv(name, value)
            importlib.invalidate_caches()
            main(list(arguments))
        sys.modules.pop("shop", None)
        said = capsys.readouterr()
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run


@pytest.fixture
def terminal(project: Path, database: str) -> Iterator[Open]:
    """Opens terminals in which a command runs in the project, on the test's own database."""
    opened: list[Terminal] = []

    def run(*arguments: str, **options: Any) -> Terminal:
        told = {"TASKHUB_DATABASE_URL": database, **options}
        opened.append(Terminal(arguments, project, **told))
        return opened[-1]

    yield run
    for one in opened:
        one.close()
