"""What the engine keeps beside procrastinate's tables: counters, workers, the history of attempts.

Revision ID: 0002
Revises: 0001
"""

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    _counters(schema)
    _workers(schema)
    _attempts(schema)
    _functions(schema)


def _counters(schema: str) -> None:
    op.execute(f"""
        ALTER TABLE {schema}.procrastinate_jobs
            ADD COLUMN claim integer NOT NULL DEFAULT 0,        -- +1 at every claim: the fence
            ADD COLUMN lost smallint NOT NULL DEFAULT 0,        -- +1 at every rescue
            ADD COLUMN gate smallint NOT NULL DEFAULT 0,        -- why it is not ready; 0 = ready
            ADD COLUMN deferred_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN started_at timestamptz,
            ADD COLUMN finished_at timestamptz,
            ADD CONSTRAINT check_args_object CHECK (jsonb_typeof(args) = 'object')
    """)
    # One row. A worker whose protocol is lower than `lowest_worker_version` must not run.
    op.execute(f"""
        CREATE TABLE {schema}.hub (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            lowest_worker_version integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute(f"CREATE UNIQUE INDEX hub_one_row ON {schema}.hub ((true))")
    op.execute(f"INSERT INTO {schema}.hub (lowest_worker_version) VALUES (1)")


def _workers(schema: str) -> None:
    # The registry outlives the worker, because the history points at it; procrastinate_workers
    # holds the living, with their heartbeat.
    op.execute(f"""
        CREATE TABLE {schema}.workers (
            id bigint PRIMARY KEY,
            host text NOT NULL,
            pid integer NOT NULL,
            name text NOT NULL,
            version text NOT NULL,
            queues text[],
            tasks text[] NOT NULL,
            concurrency integer NOT NULL,
            lease_seconds double precision NOT NULL,
            started_at timestamptz NOT NULL DEFAULT now(),
            stopped_at timestamptz,
            stop_reason text
        )
    """)


def _attempts(schema: str) -> None:
    op.execute(f"""
        CREATE TYPE {schema}.attempt_outcome AS ENUM (
            'succeeded', 'failed', 'retried', 'snoozed', 'cancelled', 'aborted', 'interrupted', 'lost'
        )
    """)
    # Append-only. The row of a job's success also carries what the job was: its own row is gone.
    op.execute(f"""
        CREATE TABLE {schema}.attempts (
            job_id bigint NOT NULL,
            claim integer NOT NULL,
            attempt integer NOT NULL,
            outcome {schema}.attempt_outcome NOT NULL,
            queue_name varchar(128) NOT NULL,
            task_name varchar(128) NOT NULL,
            worker_id bigint,
            started_at timestamptz,
            finished_at timestamptz NOT NULL DEFAULT now(),
            error_class text,
            error_message text,
            traceback text,
            fingerprint text,
            priority integer,
            lock text,
            deferred_at timestamptz,
            args jsonb,
            result jsonb,
            PRIMARY KEY (job_id, claim)
        ) PARTITION BY RANGE (job_id)
    """)
    op.execute(f"CREATE INDEX attempts_finished_at ON {schema}.attempts USING brin (finished_at)")


def _functions(schema: str) -> None:
    # A partition is built aside and attached, because CREATE .. PARTITION OF locks out every
    # reader and writer of the parent, and an ack would wait behind one open report.
    op.execute(f"""
        CREATE FUNCTION {schema}.extend_attempts_v1(_up_to bigint) RETURNS integer
        LANGUAGE plpgsql
        SET search_path = {schema}, pg_catalog, pg_temp
        AS $$
        DECLARE
            _width CONSTANT bigint := 1000000;
            _low bigint;
            _made integer := 0;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('taskhub attempts', 0));
            SELECT coalesce(max(substring(c.relname FROM 'attempts_([0-9]+)$')::bigint) + 1, 0) * _width
            INTO _low
            FROM pg_inherits AS i
            JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'attempts'::regclass;
            WHILE _low <= _up_to LOOP
                EXECUTE format(
                    'CREATE TABLE attempts_%s (LIKE attempts INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                    _low / _width
                );
                EXECUTE format(
                    'ALTER TABLE attempts ATTACH PARTITION attempts_%s FOR VALUES FROM (%s) TO (%s)',
                    _low / _width, _low, _low + _width
                );
                _low := _low + _width;
                _made := _made + 1;
            END LOOP;
            RETURN _made;
        END $$
    """)
    op.execute(f"SELECT {schema}.extend_attempts_v1(1000000)")
    # The fetch is procrastinate's, one by one; the claim counter makes each claim tellable apart.
    op.execute(f"""
        CREATE FUNCTION {schema}.claim_v1(_queues varchar[], _worker_id bigint, _slots integer)
        RETURNS SETOF {schema}.procrastinate_jobs
        LANGUAGE plpgsql
        SET search_path = {schema}, pg_catalog, pg_temp
        SET jit = off
        AS $$
        DECLARE _job {schema}.procrastinate_jobs;
        BEGIN
            FOR _slot IN 1 .. _slots LOOP
                SELECT * INTO _job FROM procrastinate_fetch_job_v2(_queues, _worker_id);
                EXIT WHEN _job.id IS NULL;
                UPDATE procrastinate_jobs
                SET claim = claim + 1, started_at = clock_timestamp(), finished_at = NULL
                WHERE id = _job.id
                RETURNING * INTO _job;
                RETURN NEXT _job;
            END LOOP;
        END $$
    """)


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP FUNCTION {schema}.claim_v1, {schema}.extend_attempts_v1")
    op.execute(f"DROP TABLE {schema}.attempts, {schema}.workers, {schema}.hub")
    op.execute(f"DROP TYPE {schema}.attempt_outcome")
    op.execute(f"""
        ALTER TABLE {schema}.procrastinate_jobs
            DROP CONSTRAINT check_args_object,
            DROP COLUMN claim, DROP COLUMN lost, DROP COLUMN gate,
            DROP COLUMN deferred_at, DROP COLUMN started_at, DROP COLUMN finished_at
    """)
