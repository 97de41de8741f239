"""The engine: what it keeps beside procrastinate's tables, and the functions that move jobs.

procrastinate's row triggers and foreign keys are most of the cost of a job, so they go; its functions
keep their signatures and get bodies that keep our columns right. The way back restores them.

Revision ID: 0002
Revises: 0001
"""

from pathlib import Path

from alembic import context, op
from alembic.util import load_python_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

pinned = load_python_file(Path(__file__).parents[1], "pinned.py")
SQL = Path(__file__).parents[1] / "sql"
# The shape of a plan must not depend on what the statistics happen to say: a queue table is empty in
# one minute and holds a million rows in the next. Without it the planner was seen to compile a plan at
# every claim (jit), and to read the whole table because LIMIT is a parameter.
PLANNER = """SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
SET enable_memoize = off"""
OURS = (
    "gate_of_v1", "set_gate", "after_insert", "ack_v1", "is_known_v1", "set_aside_v1",
    "forget_unknown_v1", "release_known_v1", "tell_unknown_v1", "outcomes_v1", "outcome_alone_v1",
    "promote_due_v1", "take_notes_v1", "demote_v1", "promote_locks_v1", "sweep_locks_v1", "steps_v1",
    "lanes_v1",
    "claim_lane_v1", "claim_suspect_v1", "taken_v1", "claim_ruled_v1", "refill_v1", "bucket_v1",
    "keep_bucket_v1", "note_starts_v1", "note_trouble_v1", "regulate_v1", "promote_limits_v1",
    "settle_v1", "unpark_v1", "rooms_v1", "sweep_limits_v1", "tick_v1", "refuse_held_v1",
    "note_cancelled_v1", "ask_to_stop_v1",
    "cancel_v1", "expire_v1", "extend_attempts_v1", "rule_v1", "claim_more_v1", "report_progress_v1",
    "note_turns_v1", "forget_turns_v1", "promote_turns_v1", "share_turns_v1", "sweep_turns_v1", "weigh_v1",
)  # fmt: skip
THEIRS = (
    "fetch_job_v2", "finish_job_v1", "cancel_job_v1", "retry_job_v2", "retry_job_v1",
    "prune_stalled_workers_v1", "unregister_worker_v1",
)  # fmt: skip


def upgrade() -> None:
    schema = context.config.attributes["schema"]
    _strip(schema)
    _columns(schema)
    _gates(schema)
    _indexes(schema)
    _tables(schema)
    _attempts(schema)
    _storage(schema)
    _run(schema, *OURS, *THEIRS)
    op.execute(f"""
        SELECT {schema}.extend_attempts_v1(
            (SELECT s.last_value + 1000000 FROM {schema}.procrastinate_jobs_id_seq AS s)
        )
    """)
    op.execute(f"""
        CREATE TRIGGER set_gate BEFORE INSERT ON {schema}.procrastinate_jobs
        FOR EACH ROW WHEN (
            NEW.lock IS NOT NULL OR NEW.scheduled_at IS NOT NULL OR NEW.limit_key IS NOT NULL
            OR NEW.fair_key IS NOT NULL
        )
        EXECUTE FUNCTION {schema}.set_gate()
    """)
    op.execute(f"""
        CREATE TRIGGER after_insert AFTER INSERT ON {schema}.procrastinate_jobs
        REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION {schema}.after_insert()
    """)
    _note_what_is_there(schema)


def _run(schema: str, *names: str) -> None:
    for name in names:
        body = (SQL / f"{name}.sql").read_text(encoding="utf-8")
        op.execute(body.replace("{schema}", schema).replace("{planner}", PLANNER))


def _strip(schema: str) -> None:
    """Take off the row triggers, the foreign keys, and the indexes that have better ones here."""
    _run(schema, "strip_jobs")
    for index in (
        "procrastinate_jobs_lock_idx_v1",
        "procrastinate_jobs_queue_name_idx_v1",
        "procrastinate_jobs_id_lock_idx_v1",
        "procrastinate_jobs_priority_idx_v1",
        "procrastinate_jobs_queueing_lock_idx_v1",
        "idx_procrastinate_jobs_worker_not_null",
        "idx_procrastinate_workers_last_heartbeat",
    ):
        op.execute(f"DROP INDEX IF EXISTS {schema}.{index}")


def _columns(schema: str) -> None:
    op.execute(f"""
        ALTER TABLE {schema}.procrastinate_jobs
            ADD COLUMN claim integer NOT NULL DEFAULT 0,         -- +1 at every claim: the fence
            ADD COLUMN lost smallint NOT NULL DEFAULT 0,         -- +1 at every rescue
            ADD COLUMN interrupted smallint NOT NULL DEFAULT 0,  -- +1 at every shutdown it was cut by
            ADD COLUMN gate smallint NOT NULL DEFAULT 0,  -- 0 ready, else why not: see set_gate
            ADD COLUMN limit_key text,   -- its jobs share so many slots, of the whole fleet
            ADD COLUMN at_most integer,  -- how many, where no rule of the key says it
            ADD COLUMN tokens integer CHECK (tokens > 0),  -- what it takes of its key's rate; NULL is 1
            ADD COLUMN fair_key text,    -- who it is for: jobs of one queue take turns by it
            ADD COLUMN is_strict boolean NOT NULL DEFAULT false,  -- its lock keeps the order of the ids
            ADD COLUMN version integer,  -- of its task's arguments; NULL is 1
            ADD COLUMN expires_at timestamptz,  -- it never starts after this
            ADD COLUMN trace text,  -- who deferred it, as traces carry that: a JSON object
            ADD COLUMN place double precision,  -- where it stands in its lane, if not at its id
            ADD COLUMN deferred_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN started_at timestamptz,
            ADD COLUMN finished_at timestamptz
    """)
    op.execute(f"""
        CREATE TYPE {schema}.claimed_job AS (
            id bigint, queue_name varchar, task_name varchar, priority integer, lock text,
            queueing_lock text, args text, attempts integer, claim integer, lost smallint,
            scheduled_at timestamptz, version integer, is_expired boolean,
            place double precision, waited_seconds double precision, trace text
        )
    """)


def _gates(schema: str) -> None:
    """Sort the jobs of an adopted schema, before an index says that one a lock is ready."""
    op.execute(f"""
        UPDATE {schema}.procrastinate_jobs
        SET gate = CASE WHEN scheduled_at > now() THEN 1 ELSE 2 END
        WHERE status = 'todo' AND (scheduled_at > now() OR lock IS NOT NULL)
    """)


def _indexes(schema: str) -> None:
    """Each holds only what its reader looks for: the ready index never sees what cannot be claimed."""
    jobs = f"{schema}.procrastinate_jobs"
    for statement in (
        f"""CREATE INDEX jobs_ready ON {jobs} (queue_name, priority DESC, (coalesce(place, id)))
            WHERE status = 'todo' AND gate = 0""",
        # A date that somebody takes away by hand must not hide its job.
        f"""CREATE INDEX jobs_due ON {jobs} (coalesce(scheduled_at, '-infinity'))
            WHERE status = 'todo' AND gate = 1""",
        f"""CREATE INDEX jobs_behind ON {jobs} (lock, is_strict, priority DESC, id)
            WHERE status = 'todo' AND gate = 2""",
        f"""CREATE INDEX jobs_strict ON {jobs} (lock, id)
            WHERE is_strict AND status = 'todo' AND gate IN (1, 2)""",
        f"""CREATE UNIQUE INDEX jobs_occupant ON {jobs} (lock)
            WHERE gate IN (0, 3, 4, 5, 6) AND status IN ('todo', 'doing') AND lock IS NOT NULL""",
        f"""CREATE INDEX jobs_limited ON {jobs} (limit_key, priority DESC, id)
            WHERE status = 'todo' AND gate = 3""",
        f"""CREATE INDEX jobs_slots ON {jobs} (limit_key)
            WHERE gate IN (0, 6) AND status IN ('todo', 'doing') AND limit_key IS NOT NULL""",
        f"""CREATE INDEX jobs_parked ON {jobs} (task_name, queue_name, priority DESC, id)
            WHERE status = 'todo' AND gate = 5""",
        f"""CREATE INDEX jobs_unknown
            ON {jobs} (task_name, coalesce(version, 1), queue_name, priority DESC, id)
            WHERE status = 'todo' AND gate = 4""",
        f"""CREATE INDEX jobs_expiring ON {jobs} (expires_at)
            WHERE status = 'todo' AND expires_at IS NOT NULL""",
        f"""CREATE INDEX jobs_fair ON {jobs} (queue_name, priority, fair_key, id)
            WHERE status = 'todo' AND gate = 6""",
        f"""CREATE INDEX jobs_window ON {jobs} (queue_name, priority)
            WHERE status = 'todo' AND gate = 0 AND place IS NOT NULL""",
        f"""CREATE INDEX jobs_suspect ON {jobs} (id)
            WHERE status = 'todo' AND gate = 0 AND lost >= 2""",
        # Also those without a worker: a plain one lets go of its jobs when it leaves.
        f"CREATE INDEX jobs_running ON {jobs} (worker_id) WHERE status = 'doing'",
        # procrastinate tells a refused queueing lock by this index's name. Its own has an entry for
        # every job without one, too.
        f"""CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON {jobs} (queueing_lock)
            WHERE status = 'todo' AND queueing_lock IS NOT NULL""",
        f"""CREATE INDEX jobs_ended ON {jobs} (status, id)
            WHERE status IN ('failed', 'cancelled', 'aborted', 'succeeded')""",
    ):
        op.execute(statement)


def _tables(schema: str) -> None:
    # One row. A worker whose protocol is lower than `lowest_worker_version` must not run.
    op.execute(f"""
        CREATE TABLE {schema}.hub (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            lowest_worker_version integer NOT NULL,
            notify boolean NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute(f"CREATE UNIQUE INDEX hub_one_row ON {schema}.hub ((true))")
    op.execute(f"INSERT INTO {schema}.hub (lowest_worker_version) VALUES (1)")
    # Append-only: which locks and limits changed, for the workers to look at.
    op.execute(f"""
        CREATE TABLE {schema}.lock_notes (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            lock text NOT NULL,
            is_limit boolean NOT NULL DEFAULT false
        )
    """)
    _rules(schema)
    # One row for each task, or version of it, whose jobs were set aside: no live worker knew it.
    op.execute(f"""
        CREATE TABLE {schema}.unknown_tasks (
            task_name varchar(128) NOT NULL,
            version integer NOT NULL,
            since timestamptz NOT NULL DEFAULT now(),
            told_at timestamptz,
            PRIMARY KEY (task_name, version)
        )
    """)
    _turns(schema)
    # Append-only: who asked that a running job stop. It counts for the claim it names, no later one.
    op.execute(f"""
        CREATE TABLE {schema}.cancel_requests (
            job_id bigint NOT NULL,
            claim integer NOT NULL,
            reason text,
            asked_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute(f"CREATE INDEX cancel_requests_job_id ON {schema}.cancel_requests (job_id)")
    # Append-only: runs that went on in a paused process after their jobs were given to others.
    op.execute(f"""
        CREATE TABLE {schema}.overlaps (
            job_id bigint NOT NULL,
            claim integer NOT NULL,
            worker_id bigint NOT NULL,
            overlap_seconds double precision NOT NULL,
            noticed_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
    """)
    op.execute(f"CREATE INDEX overlaps_noticed_at ON {schema}.overlaps (noticed_at)")
    # How far running jobs are, never on the job's row; one row for each job whose task says so.
    op.execute(f"""
        CREATE TABLE {schema}.progress (
            job_id bigint PRIMARY KEY,
            claim integer NOT NULL,
            attempt integer NOT NULL,
            done double precision NOT NULL,
            out_of double precision,
            note text NOT NULL,
            at timestamptz NOT NULL
        )
    """)
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
            crons text[] NOT NULL DEFAULT '{{}}',  -- names of the schedules that it declares
            versions jsonb NOT NULL DEFAULT '{{}}',  -- of the tasks whose version is not 1
            concurrency integer NOT NULL,
            lease_seconds double precision NOT NULL,
            started_at timestamptz NOT NULL DEFAULT now(),
            drain text CHECK (drain IN ('end', 'stay')),  -- asked to take no more jobs, and then what
            draining_at timestamptz,  -- since when it takes none
            overdue integer NOT NULL DEFAULT 0,
            deserted integer NOT NULL DEFAULT 0,
            stopped_at timestamptz,
            stop_reason text
        )
    """)
    # Chores that one worker of the fleet does now and then.
    op.execute(f"""
        CREATE TABLE {schema}.upkeep (
            name text PRIMARY KEY,
            last_at timestamptz NOT NULL DEFAULT '-infinity'
        )
    """)
    op.execute(f"INSERT INTO {schema}.upkeep (name) VALUES ('prune'), ('horizon'), ('locks')")


def _rules(schema: str) -> None:
    """Limits and pauses that somebody set; what a task declares for its key is with its jobs."""
    op.execute(f"""
        CREATE TABLE {schema}.rules (
            name text PRIMARY KEY,  -- "queue:NAME", "task:NAME" or a key
            kind text NOT NULL GENERATED ALWAYS AS (
                CASE
                    WHEN name LIKE 'queue:%' THEN 'queue'
                    WHEN name LIKE 'task:%' THEN 'task'
                    ELSE 'key'
                END
            ) STORED,
            at_most integer CHECK (at_most > 0),
            paused_at timestamptz,
            paused_until timestamptz,
            reason text,
            rate double precision CHECK (rate > 0),    -- tokens a second
            burst double precision CHECK (burst >= 1), -- how many its bucket holds
            feedback boolean,                          -- whether a 429 halves at_most
            breaker_failures integer CHECK (breaker_failures > 0),
            breaker_within double precision,           -- seconds
            breaker_hold double precision              -- seconds
        )
    """)
    op.execute(f"""
        CREATE INDEX rules_heeding ON {schema}.rules ((true))
        WHERE feedback OR breaker_failures IS NOT NULL
    """)
    op.execute(f"CREATE INDEX rules_lanes ON {schema}.rules (name) WHERE kind <> 'key'")
    op.execute(f"""
        CREATE INDEX rules_until ON {schema}.rules (paused_until) WHERE paused_until IS NOT NULL
    """)
    _limit_states(schema)


def _limit_states(schema: str) -> None:
    """What has become of keys with a rate, feedback or a breaker, and what their jobs met."""
    # Written by whoever holds the key's advisory lock, and by nobody else.
    op.execute(f"""
        CREATE TABLE {schema}.limit_states (
            name text PRIMARY KEY,
            tokens double precision,    -- what the bucket could give at filled_at; NULL: it is full
            reserved double precision NOT NULL DEFAULT 0,  -- promised then to jobs not yet started
            filled_at timestamptz,
            wake_at timestamptz,        -- when a worker must look again
            idle_looks integer NOT NULL DEFAULT 0,
            slots double precision,     -- at most so many at once, by feedback
            most integer,               -- and where that ends
            halved_at timestamptz,
            opened_at timestamptz,      -- NULL: the breaker is closed
            open_until timestamptz,
            open_reason text,
            opens integer NOT NULL DEFAULT 0,  -- in a row
            probe_id bigint             -- the job that tries it
        ) WITH (
            fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
            autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
        )
    """)
    op.execute(f"""
        CREATE INDEX limit_states_wake ON {schema}.limit_states (wake_at) WHERE wake_at IS NOT NULL
    """)
    # Append-only; taken off by whoever holds the key's advisory lock.
    op.execute(f"""
        CREATE TABLE {schema}.limit_events (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL,
            kind text NOT NULL,         -- throttled, failed, succeeded, settled
            job_id bigint,
            started_at timestamptz,
            at_most integer,
            amount double precision,    -- tokens taken beyond what was reserved
            reason text,
            at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (
            autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
            autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off
        )
    """)
    op.execute(f"CREATE INDEX limit_events_name ON {schema}.limit_events (name, id)")


def _turns(schema: str) -> None:
    """Whose turn it is among the fair keys of a lane; only workers write them."""
    # Append-only: which keys have jobs that wait for their turns.
    op.execute(f"""
        CREATE TABLE {schema}.fair_notes (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            queue_name varchar(128) NOT NULL,
            priority integer NOT NULL,
            fair_key text NOT NULL
        )
    """)
    op.execute(f"""
        CREATE TABLE {schema}.fair_lanes (
            queue_name varchar(128) NOT NULL,
            priority integer NOT NULL,
            turn double precision NOT NULL DEFAULT 0,   -- the last one that was given
            place double precision NOT NULL DEFAULT 0,  -- of the last job that had one
            PRIMARY KEY (queue_name, priority)
        )
    """)
    op.execute(f"""
        CREATE TABLE {schema}.fair_keys (
            queue_name varchar(128) NOT NULL,
            priority integer NOT NULL,
            fair_key text NOT NULL,
            turn double precision NOT NULL,  -- of its next job
            PRIMARY KEY (queue_name, priority, fair_key)
        )
    """)
    # All of them; but only who asks by turn may use it, where the planner takes it for as good as the
    # primary key, and reads all keys of a lane to find one.
    op.execute(f"""
        CREATE INDEX fair_keys_turn ON {schema}.fair_keys (queue_name, priority, turn)
        WHERE turn > '-infinity'
    """)
    op.execute(f"""
        CREATE TABLE {schema}.fair_weights (
            queue_name varchar(128) NOT NULL,
            fair_key text NOT NULL,
            weight integer NOT NULL CHECK (weight > 0),
            PRIMARY KEY (queue_name, fair_key)
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
            log text,
            priority integer,
            lock text,
            queueing_lock text,
            deferred_at timestamptz,
            args jsonb,
            result jsonb,
            version integer,
            PRIMARY KEY (job_id, claim)
        ) PARTITION BY RANGE (job_id)
    """)
    # Without autosummarize what was added since the last vacuum is read at every count.
    op.execute(f"""
        CREATE INDEX attempts_finished_at ON {schema}.attempts
        USING brin (finished_at) WITH (autosummarize = on, pages_per_range = 32)
    """)


def _storage(schema: str) -> None:
    """Vacuum by how much is dead, not by which share: a million dead letters must not let the churn
    beside them rot. Room in each page for the claimed version of its rows, so a job dirties one page."""
    op.execute(f"""
        ALTER TABLE {schema}.procrastinate_jobs SET (
            fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
            autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
            autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0,
            autovacuum_analyze_threshold = 50000, vacuum_index_cleanup = on, vacuum_truncate = off,
            toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000,
            toast.autovacuum_vacuum_cost_delay = 0, toast.vacuum_truncate = off
        )
    """)
    for table in ("lock_notes", "fair_notes", "fair_keys", "fair_lanes"):
        op.execute(f"""
            ALTER TABLE {schema}.{table} SET (
                autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0,
                autovacuum_analyze_threshold = 100000, vacuum_index_cleanup = on,
                vacuum_truncate = off
            )
        """)
    for table in ("procrastinate_workers", "upkeep", "progress"):
        op.execute(f"""
            ALTER TABLE {schema}.{table} SET (
                fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
                autovacuum_vacuum_threshold = 500, vacuum_truncate = off
            )
        """)


def _note_what_is_there(schema: str) -> None:
    """Let workers look at every lock of an adopted schema, and take its jobs' times over."""
    op.execute(f"""
        INSERT INTO {schema}.lock_notes (lock)
        SELECT DISTINCT lock FROM {schema}.procrastinate_jobs WHERE status = 'todo' AND gate = 2
    """)
    op.execute(f"""
        UPDATE {schema}.procrastinate_jobs AS j
        SET deferred_at = e.at
        FROM (
            SELECT job_id, min(at) AS at FROM {schema}.procrastinate_events
            WHERE type = 'deferred' GROUP BY job_id
        ) AS e
        WHERE e.job_id = j.id
    """)


def downgrade() -> None:
    schema = context.config.attributes["schema"]
    op.execute(f"DROP TRIGGER after_insert ON {schema}.procrastinate_jobs")
    op.execute(f"DROP TRIGGER set_gate ON {schema}.procrastinate_jobs")
    op.execute(f"SET LOCAL search_path = {schema}")
    pinned.bring_back(op.execute)
    for name in OURS:
        op.execute(f"DROP FUNCTION {schema}.{name}")
    op.execute(f"""
        DROP TABLE {schema}.attempts, {schema}.workers, {schema}.hub, {schema}.lock_notes,
            {schema}.cancel_requests, {schema}.overlaps, {schema}.upkeep, {schema}.rules,
            {schema}.progress, {schema}.limit_states, {schema}.limit_events, {schema}.unknown_tasks,
            {schema}.fair_notes, {schema}.fair_lanes, {schema}.fair_keys, {schema}.fair_weights
    """)
    op.execute(f"DROP TYPE {schema}.attempt_outcome, {schema}.claimed_job")
    for index in (
        "ready", "due", "behind", "strict", "occupant", "limited", "slots", "parked", "fair", "window",
        "unknown", "expiring", "suspect", "running", "ended",
    ):  # fmt: skip
        op.execute(f"DROP INDEX {schema}.jobs_{index}")
    op.execute(f"DROP INDEX {schema}.procrastinate_jobs_queueing_lock_idx_v1")
    _run(schema, "reset_storage")
    op.execute(f"""
        ALTER TABLE {schema}.procrastinate_jobs
            DROP COLUMN claim, DROP COLUMN lost, DROP COLUMN interrupted, DROP COLUMN gate,
            DROP COLUMN limit_key, DROP COLUMN at_most, DROP COLUMN tokens, DROP COLUMN fair_key,
            DROP COLUMN place,
            DROP COLUMN is_strict, DROP COLUMN version, DROP COLUMN expires_at, DROP COLUMN trace,
            DROP COLUMN deferred_at, DROP COLUMN started_at, DROP COLUMN finished_at
    """)

    pinned.restore(op.execute)
    pinned.keep_path(op.execute, schema)
    op.execute("SET LOCAL search_path = DEFAULT")
