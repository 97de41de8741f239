"""The command line as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SHOP = """
from taskhub import Backoff, Context, Fail, Hub

hub = Hub()


@hub.task(name="send", queue="mail")
def send(ctx: Context, order_id: int, language: str = "en-US") -> str:
    if order_id == 13:
        raise Fail("no such order")
    return f"{order_id} in {language}"
"""


@pytest.fixture
def command(tmp_path: Path, database: str) -> Run:
    """Runs `taskhub …` in a project with a shop.py, on the test's own database."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "taskhub.toml").write_text('app = "shop:hub"\n')

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "taskhub", *arguments],
            cwd=tmp_path,
            env=os.environ | {"TASKHUB_DATABASE_URL": database} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
