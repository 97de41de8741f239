"""The last day by the minute, for screens that cannot add it up each time; and the arguments to search by.

Revision ID: 0020
Revises: 0019
"""

from pathlib import Path

from alembic import context, op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    # buckets and counts: how many runs took how long, see taskhub.queue.minutes.
    op.execute(f"""
        CREATE TABLE {schema}.minutes (
            minute timestamptz NOT NULL,
            queue text NOT NULL,
            task text NOT NULL,
            deferred bigint NOT NULL,
            succeeded bigint NOT NULL,
            failed bigint NOT NULL,
            retried bigint NOT NULL,
            lost bigint NOT NULL,
            buckets smallint[] NOT NULL,
            counts bigint[] NOT NULL,
            slowest_seconds double precision,
            slowest_job_id bigint,
            PRIMARY KEY (minute, queue, task)
        )
    """)
    # Up to when minutes are added up, and the highest job id there was then and the time before.
    op.execute(f"""
        CREATE TABLE {schema}.minutes_mark (
            until_at timestamptz NOT NULL,
            last_id bigint NOT NULL,
            previous_id bigint NOT NULL
        )
    """)
    op.execute(f"CREATE UNIQUE INDEX minutes_mark_one_row ON {schema}.minutes_mark ((true))")
    op.execute(f"INSERT INTO {schema}.upkeep (name) VALUES ('minutes')")
    _arguments(schema)


def _arguments(schema: str) -> None:
    # Which arguments of which tasks are kept to be searched by, as the code declares them.
    op.execute(f"""
        CREATE TABLE {schema}.indexed_args (
            task_name text PRIMARY KEY,
            names text[] NOT NULL
        )
    """)
    op.execute(f"""
        CREATE TABLE {schema}.job_args (
            job_id bigint NOT NULL,
            name text NOT NULL,
            value text NOT NULL,
            PRIMARY KEY (job_id, name)
        )
    """)
    op.execute(f"CREATE INDEX job_args_value ON {schema}.job_args (name, value, job_id)")
    for name in ("after_insert_v2", "after_args_v1"):
        op.execute((SQL / f"{name}.sql").read_text(encoding="utf-8").replace("{schema}", schema))
    op.execute(f"""
        CREATE TRIGGER after_args AFTER UPDATE OF args ON {schema}.procrastinate_jobs
        FOR EACH ROW WHEN (OLD.args IS DISTINCT FROM NEW.args)
        EXECUTE FUNCTION {schema}.after_args()
    """)


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP TRIGGER after_args ON {schema}.procrastinate_jobs")
    op.execute(f"DROP FUNCTION {schema}.after_args")
    body = (SQL / "after_insert.sql").read_text(encoding="utf-8").replace("{schema}", schema)
    op.execute(body.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute(f"DELETE FROM {schema}.upkeep WHERE name = 'minutes'")
    op.execute(f"""
        DROP TABLE {schema}.minutes, {schema}.minutes_mark, {schema}.indexed_args, {schema}.job_args
    """)
