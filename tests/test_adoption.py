"""procrastinate's own tables adopted in place, with jobs in them, and given back."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, RowMapping, create_engine, text

from taskhub import Hub, db, migrations
from taskhub.settings import Settings
from tests.procrastinates import VERSIONS, app_on, build, build_newest, describe, work
from tests.waiting import until

PUBLIC = Settings(schema="public", lease_seconds=2, poll_seconds=0.1)
JOBS = """
    SELECT id, queue_name, task_name, priority, lock, queueing_lock, args, status::text,
        scheduled_at, attempts
    FROM procrastinate_jobs ORDER BY id
"""


@pytest.fixture
def engine(empty_database: str) -> Iterator[Engine]:
    made = create_engine(db.address(empty_database))
    yield made
    made.dispose()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def insert(engine: Engine, **columns: object) -> int:
    """A job, as procrastinate's functions leave it."""
    row = {"queue_name": "q", "task_name": "note", "args": '{"n": 0}', **columns}
    names = ", ".join(row)
    values = ", ".join(f"CAST(CAST(:{name} AS text) AS {_TYPES.get(name, 'text')})" for name in row)
    query = text(f"INSERT INTO procrastinate_jobs ({names}) VALUES ({values}) RETURNING id")
    with engine.begin() as connection:
        return int(connection.execute(query, row).scalar_one())


_TYPES = {
    "args": "jsonb",
    "status": "procrastinate_job_status",
    "scheduled_at": "timestamptz",
    "attempts": "integer",
    "priority": "integer",
    "abort_requested": "boolean",
}


def fill(engine: Engine) -> None:
    """A job in every state that a database of procrastinate can have one in."""
    insert(engine, args='{"n": 1}')
    insert(engine, args='{"n": 2}', priority=5)
    insert(engine, args='{"n": 3}', lock="a")
    insert(engine, args='{"n": 4}', lock="a")
    insert(engine, args='{"n": 5}', queueing_lock="once")
    insert(engine, args='{"n": 6}', scheduled_at="2100-01-01T00:00Z")
    insert(engine, args='{"n": 7}', scheduled_at="2000-01-01T00:00Z")
    insert(engine, args='{"n": 8}', status="doing", attempts=1)
    for status in ("succeeded", "failed", "cancelled", "aborted"):
        insert(engine, args='{"n": 9}', status=status, attempts=1)
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO procrastinate_periodic_defers
                    (task_name, periodic_id, defer_timestamp, job_id)
                VALUES ('note', 'hourly', 1700000000, 1)
            """)
        )


def rows(engine: Engine, query: str = JOBS) -> list[RowMapping]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)).mappings())


def go_back(engine: Engine, settings: Settings = PUBLIC) -> None:
    with engine.connect() as connection:
        has_kb = migrations.behind(connection, settings, branch="kb") is None
    if has_kb:
        migrations.downgrade(engine, settings, "kb@base")
    migrations.downgrade(engine, settings, "queue@base")


def hub_on(engine: Engine, settings: Settings = PUBLIC) -> tuple[Hub, list[int]]:
    """A hub whose one task notes what it was given."""
    hub = Hub(engine.url.render_as_string(hide_password=False), settings=settings)
    seen: list[int] = []

    @hub.task(name="note", queue="q")
    def note(n: int) -> None:
        seen.append(n)

    return hub, seen


def test_adopting_keeps_every_job_and_every_periodic_tick(engine: Engine, version: str) -> None:
    build(engine, version)
    fill(engine)
    before = rows(engine)
    ticks = rows(engine, "SELECT * FROM procrastinate_periodic_defers")

    report = migrations.upgrade(engine, PUBLIC)

    assert report.before == ()
    assert not [line for line in report.left_out if "procrastinate" in line]
    with engine.connect() as connection:
        assert migrations.behind(connection, PUBLIC) is None
    assert rows(engine) == before
    assert rows(engine, "SELECT * FROM procrastinate_periodic_defers") == ticks


def test_going_back_leaves_what_procrastinate_3_10_makes(engine: Engine, version: str) -> None:
    build(engine, version)
    fill(engine)
    build_newest(engine, "fresh")
    before = rows(engine)

    migrations.upgrade(engine, PUBLIC)
    go_back(engine)

    assert describe(engine, "public") == describe(engine, "fresh")
    assert rows(engine) == before


def test_adopted_jobs_run_on_our_worker_each_when_it_may(engine: Engine, version: str) -> None:
    build(engine, version)
    fill(engine)

    migrations.upgrade(engine, PUBLIC)
    hub, seen = hub_on(engine)
    hub.run_worker(concurrency=1, wait=False)
    hub.close()

    assert seen[0] == 2  # by priority
    assert sorted(set(seen) - {8}) == [1, 2, 3, 4, 5, 7]
    assert seen.index(3) < seen.index(4)  # one lock, in order


@pytest.mark.parametrize("version", ["3.0", "3.4 to 3.10"])
def test_a_job_that_a_dead_worker_of_theirs_held_is_rescued(engine: Engine, version: str) -> None:
    build(engine, version)
    insert(engine, args='{"n": 8}', status="doing")

    migrations.upgrade(engine, PUBLIC)
    hub, seen = hub_on(engine)

    async def work_until_it_ran() -> None:
        working = asyncio.create_task(hub.run_worker_async(concurrency=1))
        await asyncio.to_thread(until, lambda: seen, "the rescued job's run")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(work_until_it_ran())
    hub.close()

    assert seen == [8]


def test_the_queueing_lock_of_an_adopted_job_still_refuses_its_twin(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    insert(engine, queueing_lock="once")

    migrations.upgrade(engine, PUBLIC)

    with pytest.raises(Exception, match="procrastinate_jobs_queueing_lock_idx_v1"):
        insert(engine, queueing_lock="once")


def test_jobs_that_succeeded_here_come_back_as_rows_with_their_events(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    job_id = insert(engine, args='{"n": 1}', lock="a", priority=3)
    migrations.upgrade(engine, PUBLIC)
    hub, _ = hub_on(engine)
    hub.run_worker(wait=False)
    hub.close()
    assert rows(engine) == []

    go_back(engine)

    [row] = rows(engine)
    assert (row["id"], row["status"], row["attempts"]) == (job_id, "succeeded", 1)
    assert (row["args"], row["lock"], row["priority"]) == ({"n": 1}, "a", 3)
    events = rows(engine, "SELECT type::text FROM procrastinate_events ORDER BY at, id")
    assert [event["type"] for event in events] == ["deferred", "succeeded"]


def test_procrastinates_worker_goes_on_where_ours_stopped(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    fill(engine)
    migrations.upgrade(engine, PUBLIC)
    hub, ours = hub_on(engine)
    hub.run_worker(concurrency=1, wait=False)
    hub.close()
    insert(engine, args='{"n": 20}', lock="b")
    insert(engine, args='{"n": 21}', lock="b")

    go_back(engine)
    theirs: list[int] = []
    app = app_on(engine.url)

    @app.task(name="note")
    async def note(n: int) -> None:
        theirs.append(n)

    work(app)

    assert 1 in ours
    assert theirs == [20, 21]
    new = app.configure_task("note", queue="q")
    with app.open():
        assert new.defer(n=22) > max(row["id"] for row in rows(engine)) - 1


def test_their_own_upkeep_deletes_what_came_back(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    insert(engine, args='{"n": 1}')
    migrations.upgrade(engine, PUBLIC)
    hub, _ = hub_on(engine)
    hub.run_worker(wait=False)
    hub.close()
    go_back(engine)
    app = app_on(engine.url)

    async def delete_old_jobs() -> None:
        async with app.open_async():
            await app.job_manager.delete_old_jobs(nb_hours=0)

    asyncio.run(delete_old_jobs())

    assert rows(engine) == []


def test_adopting_again_after_going_back_is_the_same(engine: Engine) -> None:
    build(engine, "3.2")
    fill(engine)
    migrations.upgrade(engine, PUBLIC)
    first = describe(engine, "public")
    go_back(engine)

    migrations.upgrade(engine, PUBLIC)

    assert describe(engine, "public") == first
    assert len(rows(engine)) == 12


def test_an_adopted_schema_differs_from_a_new_one_in_nothing(engine: Engine) -> None:
    build(engine, "3.0")
    migrations.upgrade(engine, PUBLIC)

    migrations.upgrade(engine, Settings(schema="brandnew", kb_schema="brandnew_kb"))

    # The functions name their schema.
    brandnew = [line.replace("brandnew", "public") for line in describe(engine, "brandnew")]
    assert describe(engine, "public") == brandnew


def test_the_printed_sql_adopts_too(engine: Engine, pgvector: None) -> None:
    build(engine, "3.0")
    fill(engine)
    before = rows(engine)

    with engine.connect() as connection:
        connection.connection.dbapi_connection.execute(  # type: ignore[union-attr]  # psycopg's own
            migrations.offline_sql(PUBLIC)
        )
        connection.connection.commit()

    assert rows(engine) == before
    go_back(engine)
    assert rows(engine) == before


def test_the_users_own_alembic_in_the_same_schema_is_left_alone(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))

    migrations.upgrade(engine, PUBLIC)
    go_back(engine)

    assert [row["version_num"] for row in rows(engine, "TABLE alembic_version")] == ["theirs"]


@pytest.mark.parametrize("schema", ["public", "elsewhere"])
def test_migrating_beside_their_tables_says_how_to_adopt_them(engine: Engine, schema: str) -> None:
    build(engine, "3.4 to 3.10", schema)
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT quote_ident(current_database())"))
        connection.execute(text(f"ALTER DATABASE {name} SET search_path = {schema}"))
    engine.dispose()
    before = describe(engine, schema)

    report = migrations.upgrade(engine, Settings())

    [line] = [line for line in report.left_out if "procrastinate" in line]
    assert line == (
        f"procrastinate's tables in schema {schema} left alone; to have taskhub work on them, with "
        f"their jobs, set TASKHUB_SCHEMA={schema} and migrate again"
    )
    assert describe(engine, schema) == before


def test_tables_older_than_3_0_are_refused_untouched(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE procrastinate_jobs (id bigserial PRIMARY KEY)"))

    with pytest.raises(Exception, match=r"must be those of version 3\.0 or newer, these are older"):
        migrations.upgrade(engine, PUBLIC)

    [column] = [line for line in describe(engine, "public") if line.startswith("column")]
    assert column.startswith("column procrastinate_jobs.id bigint")


def test_a_table_of_the_user_with_a_name_of_ours_stops_the_adoption(engine: Engine) -> None:
    build(engine, "3.4 to 3.10")
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE workers (name text)"))
    before = describe(engine, "public")

    with pytest.raises(Exception, match='relation "workers" already exists'):
        migrations.upgrade(engine, PUBLIC)

    assert describe(engine, "public") == before
