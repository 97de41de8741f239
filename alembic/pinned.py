"""procrastinate's schema from the pinned copy of its SQL: made, caught up with, put back.

A revision gets it by `alembic.util.load_python_file`. Everything is told in SQL, conditions too, so
that the SQL can also be printed. What it is run on must have the schema, and only it, as its path.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

SQL = Path(__file__).parent / "sql"
PINNED = SQL / "procrastinate_3.10.sql"
# A comment, a quoted text or a body: a semicolon in one of them ends no statement.
_TOKENS = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|;|[^;'$-]+|.", re.DOTALL)
_REPEATABLE = {
    "CREATE FUNCTION": "CREATE OR REPLACE FUNCTION",
    "CREATE TRIGGER": "CREATE OR REPLACE TRIGGER",
    "CREATE TABLE": "CREATE TABLE IF NOT EXISTS",
    "CREATE INDEX": "CREATE INDEX IF NOT EXISTS",
    "CREATE UNIQUE INDEX": "CREATE UNIQUE INDEX IF NOT EXISTS",
}
# table, constraint, its text in the pinned SQL, and what makes the rows fit: rows may point at jobs
# and workers that are gone while there is no foreign key.
_FOREIGN_KEYS = (
    (
        "procrastinate_jobs",
        "procrastinate_jobs_worker_id_fkey",
        "FOREIGN KEY (worker_id) REFERENCES procrastinate_workers(id) ON DELETE SET NULL",
        (
            "UPDATE procrastinate_jobs AS r SET worker_id = NULL WHERE r.worker_id IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM procrastinate_workers AS w WHERE w.id = r.worker_id)"
        ),
    ),
    (
        "procrastinate_periodic_defers",
        "procrastinate_periodic_defers_job_id_fkey",
        "FOREIGN KEY (job_id) REFERENCES procrastinate_jobs(id)",
        (
            "UPDATE procrastinate_periodic_defers AS r SET job_id = NULL WHERE r.job_id IS NOT NULL "
            "AND NOT EXISTS (SELECT FROM procrastinate_jobs AS j WHERE j.id = r.job_id)"
        ),
    ),
    (
        "procrastinate_events",
        "procrastinate_events_job_id_fkey",
        "FOREIGN KEY (job_id) REFERENCES procrastinate_jobs(id) ON DELETE CASCADE",
        (
            "DELETE FROM procrastinate_events AS r "
            "WHERE NOT EXISTS (SELECT FROM procrastinate_jobs AS j WHERE j.id = r.job_id)"
        ),
    ),
)


def create(execute: Callable[[str], object]) -> None:
    """Make the schema of 3.10, or bring the one of any 3.x to its shape with its jobs in it."""
    execute((SQL / "procrastinate_refuse_2.sql").read_text(encoding="utf-8"))
    for name, statement in _statements("CREATE TYPE"):
        execute(f"DO $do$ BEGIN IF to_regtype('{name}') IS NULL THEN {statement}; END IF; END $do$")
    execute("ALTER TYPE procrastinate_job_event_type ADD VALUE IF NOT EXISTS 'retried'")
    for _, statement in _statements("CREATE TABLE"):
        execute(statement)
    execute((SQL / "procrastinate_catch_up.sql").read_text(encoding="utf-8"))
    restore(execute)


def restore(execute: Callable[[str], object]) -> None:
    """Put functions, foreign keys, indexes and triggers of 3.10 on the tables, whatever is there.

    Of the same name they are replaced, keeping owner and grants. Rows that would hinder a foreign
    key are cleared as the foreign key would have done.
    """
    for _, statement in _statements("CREATE FUNCTION"):
        execute(statement)
    for table, constraint, text, fit in _FOREIGN_KEYS:
        execute(f"""
            DO $do$ BEGIN
                IF NOT EXISTS (
                    SELECT FROM pg_constraint AS c
                    WHERE c.conrelid = '{table}'::regclass AND c.conname = '{constraint}'
                ) THEN
                    {fit};
                    ALTER TABLE {table} ADD CONSTRAINT {constraint} {text};
                END IF;
            END $do$
        """)
    for head in ("CREATE INDEX", "CREATE UNIQUE INDEX", "CREATE TRIGGER"):
        for _, statement in _statements(head):
            execute(statement)


def keep_path(execute: Callable[[str], object], schema: str) -> None:
    """Let every function find its tables, in sessions too that never heard of the schema."""
    execute(f"""
        DO $$
        DECLARE _function regprocedure;
        BEGIN
            FOR _function IN
                SELECT p.oid::regprocedure
                FROM pg_catalog.pg_proc AS p
                WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname LIKE 'procrastinate%'
            LOOP
                EXECUTE format(
                    'ALTER FUNCTION %s SET search_path = {schema}, pg_catalog, pg_temp', _function
                );
            END LOOP;
        END $$
    """)


def bring_back(execute: Callable[[str], object]) -> None:
    """Give the jobs that moved to the history their rows again, and every job its events.

    For the downgrade that drops the history: after its triggers went, before its columns do.
    """
    for name in ("procrastinate_jobs_back", "procrastinate_events_back"):
        execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))


def _statements(head: str) -> Iterator[tuple[str, str]]:
    """The name and the text, made repeatable, of each pinned statement that begins with `head`."""
    for statement in _split(PINNED.read_text(encoding="utf-8")):
        if statement.startswith(head):
            name = re.match(r"\w+", statement[len(head) :].lstrip())
            assert name is not None, statement  # noqa: S101 - the file is ours
            yield name[0], f"{_REPEATABLE.get(head, head)}{statement[len(head) :]}"


def _split(text: str) -> Iterator[str]:
    statement = ""
    for token in _TOKENS.finditer(text):
        if token[0].startswith("--"):
            continue
        if token[0] == ";":
            yield statement.strip()
            statement = ""
        else:
            statement += token[0]
