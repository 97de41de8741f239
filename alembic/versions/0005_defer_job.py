"""Jobs from SQL alone: the rules of the table, and a function that a role without rights may call.

Revision ID: 0005
Revises: 0002
"""

from pathlib import Path

from alembic import context, op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    for name in ("job_refusal", "refuse_job", "defer_job"):
        body = (SQL / f"{name}.sql").read_text(encoding="utf-8")
        op.execute(body.replace("{schema}", schema))
    # A trigger on INSERT, not CHECK constraints: those are tested again at every UPDATE, so a row that
    # an adopted schema brought along could not even be claimed to be failed, and the text of the
    # arguments would be built three times for every job. The function runs for bad rows alone.
    op.execute(f"""
        CREATE TRIGGER refuse_job BEFORE INSERT ON {schema}.procrastinate_jobs
        FOR EACH ROW WHEN (
            octet_length(NEW.task_name) NOT BETWEEN 1 AND 128
            OR octet_length(NEW.queue_name) NOT BETWEEN 1 AND 40
            OR octet_length(NEW.lock) > 1024
            OR octet_length(NEW.queueing_lock) > 1024
            OR jsonb_typeof(NEW.args) <> 'object'
            OR octet_length(NEW.args::text) > 1048576
            OR NEW.scheduled_at < '0002-01-01 UTC'
            OR NEW.scheduled_at >= '9999-01-01 UTC'
        )
        EXECUTE FUNCTION {schema}.refuse_job()
    """)
    op.execute(f"REVOKE ALL ON FUNCTION {schema}.defer_job FROM PUBLIC")


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP TRIGGER refuse_job ON {schema}.procrastinate_jobs")
    op.execute(f"DROP FUNCTION {schema}.defer_job, {schema}.refuse_job, {schema}.job_refusal")
