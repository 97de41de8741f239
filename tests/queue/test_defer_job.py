"""Jobs from SQL alone: taskhub.defer_job() for roles, triggers and other languages; the table's rules."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import Connection

from taskhub import Hub, db, migrations
from taskhub.queue import storable
from taskhub.settings import Settings

JOBS = "taskhub.procrastinate_jobs"
CALL = "SELECT taskhub.defer_job"


@pytest.fixture
def owner(hub: Hub) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the role that migrated the database; each statement commits."""
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def enqueuer(owner: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A connection of a role that has the two rights it needs, and no others."""
    # Roles belong to the server: the name is that of the database, which is the test's own.
    role = sql.Identifier(f"{owner.info.dbname}_enqueuer")
    owner.execute(sql.SQL("CREATE ROLE {}").format(role))
    owner.execute(sql.SQL("GRANT USAGE ON SCHEMA taskhub TO {}").format(role))
    owner.execute(sql.SQL("GRANT EXECUTE ON FUNCTION taskhub.defer_job TO {}").format(role))
    with psycopg.connect(owner.info.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(role))
        yield connection
    owner.execute(sql.SQL("DROP OWNED BY {}").format(role))
    owner.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def shared(connection: Connection) -> psycopg.Connection[Any]:
    """A connection to a database that other tests use too: rolled back at the end."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def one(connection: psycopg.Connection[Any], query: str, *parameters: Any) -> Any:
    """The first column of the first row."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def test_a_job_deferred_by_a_role_without_other_rights_runs(
    hub: Hub, enqueuer: psycopg.Connection[Any]
) -> None:
    ran: list[tuple[int, str]] = []

    @hub.task(name="greet", queue="mail")
    def greet(account_id: int, language: str) -> None:
        ran.append((account_id, language))

    one(
        enqueuer,
        CALL + "('greet', %s::jsonb, queue => 'mail')",
        '{"account_id": 7, "language": "zh-Hans"}',
    )
    hub.run_worker(wait=False)

    assert ran == [(7, "zh-Hans")]


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT * FROM {JOBS}",
        f"INSERT INTO {JOBS} (queue_name, task_name) VALUES ('q', 't')",
        f"UPDATE {JOBS} SET priority = 9",
        f"DELETE FROM {JOBS}",
        f"COPY {JOBS} TO STDOUT",
        "SELECT nextval('taskhub.procrastinate_jobs_id_seq')",
        "SELECT * FROM taskhub.attempts",
        "SELECT * FROM taskhub.workers",
        "SELECT * FROM taskhub.procrastinate_workers",
        "SELECT * FROM taskhub.procrastinate_fetch_job_v2(NULL, 1)",
        "SELECT taskhub.procrastinate_cancel_job_v1(1, true, true)",
        "SELECT taskhub.procrastinate_finish_job_v1(1, 'failed', true)",
    ],
)
def test_such_a_role_can_do_nothing_else(enqueuer: psycopg.Connection[Any], statement: str) -> None:
    one(enqueuer, CALL + "('greet')")

    with pytest.raises(errors.InsufficientPrivilege):
        enqueuer.execute(statement)


def test_a_role_that_was_given_nothing_cannot_defer(
    owner: psycopg.Connection[Any], enqueuer: psycopg.Connection[Any]
) -> None:
    role = sql.Identifier(f"{owner.info.dbname}_enqueuer")
    owner.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION taskhub.defer_job FROM {}").format(role))

    with pytest.raises(errors.InsufficientPrivilege, match="defer_job"):
        enqueuer.execute(CALL + "('greet')")


def test_the_callers_search_path_does_not_lead_it_astray(
    owner: psycopg.Connection[Any], enqueuer: psycopg.Connection[Any]
) -> None:
    enqueuer.execute("CREATE TEMP TABLE procrastinate_jobs (id bigint)")
    enqueuer.execute(
        "CREATE FUNCTION pg_temp.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'"
    )
    enqueuer.execute("SET search_path = pg_temp, pg_catalog, public")

    job_id = one(enqueuer, CALL + "('greet')")

    assert one(owner, f"SELECT count(*) FROM {JOBS} WHERE id = %s", job_id) == 1


def test_everything_that_is_given_reaches_the_row(shared: psycopg.Connection[Any]) -> None:
    job_id = one(
        shared,
        CALL
        + """('greet', '{"a": [1, 2.50]}', queue => 'mail', priority => -3, lock => 'l',
            queueing_lock => 'k', scheduled_at => '2031-05-06 07:08:09+08')""",
    )

    [row] = shared.execute(
        f"""SELECT id, task_name, args::text, queue_name, priority, lock, queueing_lock,
            scheduled_at = '2031-05-06 07:08:09+08', gate FROM {JOBS}"""
    ).fetchall()
    assert row == (job_id, "greet", '{"a": [1, 2.50]}', "mail", -3, "l", "k", True, 1)


def test_a_trigger_defers_in_the_transaction_that_fired_it(
    hub: Hub, owner: psycopg.Connection[Any]
) -> None:
    shipped: list[int] = []

    @hub.task(name="ship")
    def ship(order_id: int) -> None:
        shipped.append(order_id)

    owner.execute("CREATE TABLE orders (id int)")
    owner.execute("""
        CREATE FUNCTION ship_order() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM taskhub.defer_job('ship', jsonb_build_object('order_id', NEW.id));
            RETURN NEW;
        END $$
    """)
    owner.execute("""
        CREATE TRIGGER ship_order AFTER INSERT ON orders
        FOR EACH ROW EXECUTE FUNCTION ship_order()
    """)
    with owner.transaction(force_rollback=True):
        owner.execute("INSERT INTO orders VALUES (1)")
    owner.execute("INSERT INTO orders VALUES (2), (3)")
    hub.run_worker(wait=False)

    assert sorted(shipped) == [2, 3]


def nested(levels: int) -> str:
    return f'{{"a": {"[" * levels}{"]" * levels}}}'


BAD = [
    ("task_name => ''", "task_name must be 1 to 128 bytes, got 0"),
    ("task_name => repeat('t', 129)", "task_name must be 1 to 128 bytes, got 129"),
    ("task_name => NULL", "must not be null"),
    ("task_name => 't', args => NULL", "must not be null"),
    ("task_name => 't', queue => NULL", "must not be null"),
    ("task_name => 't', priority => NULL", "must not be null"),
    ("task_name => 't', args => '[1]'", "args must be a JSON object, got array"),
    ("task_name => 't', args => 'null'", "args must be a JSON object, got null"),
    (f"task_name => 't', args => '{nested(65)}'", "args must be at most 64 levels deep"),
    (f"task_name => 't', args => '{nested(3000)}'", "args must be at most 64 levels deep"),
    ("task_name => 't', args => '{\"a\": [9223372036854775808]}'", "must have numbers that fit"),
    ("task_name => 't', args => '{\"a\": {\"b\": -1e40}}'", "must have numbers that fit 64 bits"),
    (
        "task_name => 't', args => jsonb_build_object('a', repeat('x', 65536))",
        "args must be at most 65536 bytes as text, got 65545",
    ),
    ("task_name => 't', args => '{\"a\": 1e131071}'", "args must be at most 65536 bytes as text"),
    ("task_name => 't', queue => ''", "queue must be 1 to 40 bytes, got 0"),
    ("task_name => 't', queue => repeat('列', 14)", "queue must be 1 to 40 bytes, got 42"),
    ("task_name => 't', lock => ''", "lock and queueing_lock must be null or text that is not"),
    ("task_name => 't', queueing_lock => ''", "must be null or text that is not empty"),
    ("task_name => 't', lock => repeat('l', 1025)", "lock must be at most 1024 bytes, got 1025"),
    ("task_name => 't', queueing_lock => repeat('l', 1025)", "queueing_lock must be at most 1024"),
    ("task_name => 't', scheduled_at => 'infinity'", "scheduled_at must be of a year from 2"),
    ("task_name => 't', scheduled_at => '9999-01-01 UTC'", "scheduled_at must be of a year"),
    ("task_name => 't', scheduled_at => '0001-12-31 UTC'", "scheduled_at must be of a year"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_refused_with_what_to_do(
    shared: psycopg.Connection[Any], arguments: str, message: str
) -> None:
    with (
        pytest.raises(errors.InvalidParameterValue, match=message) as refused,
        shared.transaction(),
    ):
        shared.execute(f"{CALL}({arguments})")

    assert refused.value.diag.message_hint
    assert one(shared, f"SELECT count(*) FROM {JOBS}") == 0


def test_a_priority_of_more_than_32_bits_is_none_of_its_calls(
    shared: psycopg.Connection[Any],
) -> None:
    with pytest.raises(errors.UndefinedFunction):
        shared.execute(CALL + "('t', priority => 2147483648)")


def test_input_at_the_very_limits_is_stored(shared: psycopg.Connection[Any]) -> None:
    one(
        shared,
        CALL + "(%s, %s::jsonb, queue => %s, priority => %s, lock => %s, scheduled_at => %s)",
        "t" * 128,
        nested(64),
        "q" * 40,
        2**31 - 1,
        "l" * 1024,
        "9998-12-31 23:59:59.999999 UTC",
    )
    one(
        shared, CALL + "('t', %s::jsonb)", '{"a": [9223372036854775807, -9223372036854775808, 0.5]}'
    )
    one(shared, CALL + "('t', %s::jsonb)", json.dumps({"a": "x" * (65_536 - 9)}))

    assert one(shared, f"SELECT count(*) FROM {JOBS}") == 3


def test_the_owner_may_raise_the_limit_on_arguments_and_the_caller_may_not(
    owner: psycopg.Connection[Any], enqueuer: psycopg.Connection[Any]
) -> None:
    large = json.dumps({"a": "x" * 100_000})
    enqueuer.execute("SET taskhub.max_args_bytes = '1000000'")
    with pytest.raises(errors.InvalidParameterValue, match="at most 65536 bytes"):
        one(enqueuer, CALL + "('t', %s::jsonb)", large)

    owner.execute("ALTER FUNCTION taskhub.defer_job SET taskhub.max_args_bytes = '131072'")

    assert one(enqueuer, CALL + "('t', %s::jsonb)", large) > 0


def test_a_taken_queueing_lock_is_told_as_a_unique_violation(
    shared: psycopg.Connection[Any],
) -> None:
    one(shared, CALL + "('t', queueing_lock => 'k')")

    with pytest.raises(errors.UniqueViolation, match="queueing_lock"):
        one(shared, CALL + "('t', queueing_lock => 'k')")


def test_in_a_schema_of_another_name_it_works_the_same(empty_database: str) -> None:
    settings = Settings(schema="jobs", kb_schema="docs", database_url=empty_database)
    engine = db.engine(db.address(empty_database), settings)
    migrations.upgrade(engine, settings)
    engine.dispose()

    with psycopg.connect(db.conninfo(db.address(empty_database))) as connection:
        job_id = one(connection, "SELECT jobs.defer_job('t', lock => 'l')")
        with pytest.raises(errors.CheckViolation, match="queue must be 1 to 40 bytes"):
            connection.execute("INSERT INTO jobs.procrastinate_jobs VALUES (-1, '', 't')")
    assert job_id > 0


# The rules of the table, for whoever inserts into it.

RULES = [
    ({"queue_name": ""}, "queue must be 1 to 40 bytes, got 0"),
    ({"queue_name": "q" * 41}, "queue must be 1 to 40 bytes, got 41"),
    ({"task_name": ""}, "task_name must be 1 to 128 bytes, got 0"),
    ({"task_name": "列" * 43}, "task_name must be 1 to 128 bytes, got 129"),
    ({"lock": "l" * 1025}, "lock must be at most 1024 bytes, got 1025"),
    ({"queueing_lock": "l" * 1025}, "queueing_lock must be at most 1024 bytes, got 1025"),
    ({"args": json.dumps({"a": "x" * 2**20})}, "args must be at most 1048576 bytes as text, got"),
    ({"args": "[1]"}, "args must be a JSON object, got array"),
    ({"args": "null"}, "args must be a JSON object, got null"),
    ({"scheduled_at": "infinity"}, "scheduled_at must be of a year from 2 to 9998"),
    ({"scheduled_at": "-infinity"}, "scheduled_at must be of a year from 2 to 9998"),
]


@pytest.mark.parametrize(("bad", "message"), RULES)
@pytest.mark.parametrize("way", ["insert", "copy", "procrastinate"])
def test_the_table_refuses_a_bad_row_whoever_sends_it(
    shared: psycopg.Connection[Any], bad: dict[str, str], message: str, way: str
) -> None:
    row: dict[str, Any] = {"queue_name": "q", "task_name": "t", "args": "{}"} | bad
    names = ("queue_name", "task_name", "lock", "queueing_lock", "args", "scheduled_at")
    values = [row.get(name) for name in names]

    with pytest.raises(errors.CheckViolation, match=message) as refused, shared.transaction():
        if way == "insert":
            shared.execute(
                f"INSERT INTO {JOBS} ({', '.join(names)}) VALUES (%s, %s, %s, %s, %s, %s)", values
            )
        elif way == "copy":
            with (
                shared.cursor() as cursor,
                cursor.copy(f"COPY {JOBS} ({', '.join(names)}) FROM STDIN") as sent,
            ):
                sent.write_row(values)
        else:
            shared.execute(
                """SELECT taskhub.procrastinate_defer_jobs_v1(ARRAY[ROW(%s, %s, 0, %s, %s, %s, %s)
                   ::taskhub.procrastinate_job_to_defer_v1])""",
                values,
            )

    assert refused.value.diag.constraint_name == "refuse_job"
    assert one(shared, f"SELECT count(*) FROM {JOBS}") == 0


def test_python_and_the_table_draw_the_same_lines(shared: psycopg.Connection[Any]) -> None:
    widest = {
        "task_name": "t" * storable.MAX_TASK_BYTES,
        "queue_name": "q" * storable.MAX_NAME_BYTES,
        "lock": "l" * storable.MAX_LOCK_BYTES,
        "queueing_lock": "k" * storable.MAX_LOCK_BYTES,
        "args": json.dumps({"a": "x" * (storable.MAX_ARGS_BYTES - 9)}),
        "priority": storable.INT32[-1],
        "scheduled_at": f"{storable.YEARS[-1]}-12-31 23:59:59 UTC",
    }

    with (
        shared.cursor() as cursor,
        cursor.copy(f"COPY {JOBS} ({', '.join(widest)}) FROM STDIN") as sent,
    ):
        sent.write_row(list(widest.values()))

    assert one(shared, f"SELECT octet_length(args::text) FROM {JOBS}") == storable.MAX_ARGS_BYTES


def test_a_row_that_was_there_before_the_rules_can_still_be_claimed_and_changed(
    owner: psycopg.Connection[Any],
) -> None:
    # As an adopted schema may have it.
    owner.execute(f"ALTER TABLE {JOBS} DISABLE TRIGGER refuse_job")
    owner.execute(
        f"INSERT INTO {JOBS} (queue_name, task_name, lock) VALUES ('', 't', %s)", ["l" * 2000]
    )
    owner.execute(f"ALTER TABLE {JOBS} ENABLE TRIGGER refuse_job")

    owner.execute(f"UPDATE {JOBS} SET status = 'doing', claim = 1")

    assert one(owner, f"SELECT status::text FROM {JOBS}") == "doing"
