"""Migrations: beside what is there, one transaction, there and back."""

from pathlib import Path

import procrastinate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, create_engine, text

from taskhub import Hub, db, migrations
from taskhub.settings import Settings

SCHEMA_SQL = Path(procrastinate.__file__).parent / "sql" / "schema.sql"


@pytest.fixture
def empty(empty_database: str) -> Engine:
    return create_engine(db.address(empty_database), poolclass=None)


def names(engine: Engine, query: str) -> list[str]:
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(text(query))]


def test_what_the_database_already_has_is_left_untouched(empty: Engine) -> None:
    # As somebody's application: accounts, an alembic of its own, and procrastinate in public.
    with empty.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE public.accounts (id int)")
        connection.exec_driver_sql("INSERT INTO public.accounts VALUES (7)")
        connection.exec_driver_sql("CREATE TABLE public.alembic_version (version_num text)")
        connection.exec_driver_sql("INSERT INTO public.alembic_version VALUES ('theirs')")
        connection.exec_driver_sql(SCHEMA_SQL.read_text().replace("%", "%%"))
        connection.exec_driver_sql(
            "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('theirs', 'theirs')"
        )
    describe_public = """
        SELECT format('%s %s %s', c.relname, a.attname, a.atttypid)
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        UNION ALL
        SELECT format('%s %s %s', p.oid, p.proname, md5(p.prosrc || coalesce(p.proconfig::text, '')))
        FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'procr%'
        ORDER BY 1
    """
    before = names(empty, describe_public)

    migrations.upgrade(empty, Settings())

    assert names(empty, describe_public) == before
    assert names(empty, "SELECT id::text FROM public.accounts") == ["7"]
    assert names(empty, "SELECT version_num FROM public.alembic_version") == ["theirs"]
    assert names(empty, "SELECT queue_name FROM public.procrastinate_jobs") == ["theirs"]
    empty.dispose()


def test_a_job_deferred_in_a_session_with_any_search_path_fires_our_triggers(hub: Hub) -> None:
    @hub.task
    def task() -> None: ...

    with hub.engine.connect() as connection:
        connection.execute(text("SET search_path = pg_catalog"))
        task.options(session=connection, lock="a").defer()
        connection.commit()

        assert connection.scalar(text("SELECT gate FROM taskhub.procrastinate_jobs")) == 2
        assert connection.scalar(text("SELECT lock FROM taskhub.lock_notes")) == "a"


def test_down_and_up_again_ends_at_the_same_schema(empty: Engine) -> None:
    everything = """
        SELECT format('%s.%s', n.nspname, c.relname)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname LIKE 'taskhub%' ORDER BY 1
    """
    settings = Settings()
    migrations.upgrade(empty, settings)
    before = names(empty, everything)

    if any(name.startswith("taskhub_kb.") for name in before):
        migrations.downgrade(empty, settings, "kb@base")
    migrations.downgrade(empty, settings, "queue@base")
    left = names(empty, everything)
    migrations.upgrade(empty, settings)

    assert left == []
    assert names(empty, everything) == before
    empty.dispose()


def test_migrating_twice_changes_nothing(empty: Engine) -> None:
    first = migrations.upgrade(empty, Settings())
    second = migrations.upgrade(empty, Settings())

    assert first.before == ()
    assert second.before == second.after == first.after
    empty.dispose()


def test_the_schemas_have_the_names_that_are_set(empty: Engine) -> None:
    settings = Settings(schema="jobs", kb_schema="docs", database_url=str(empty.url))

    migrations.upgrade(empty, settings)

    schemas = names(empty, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information)'")
    assert set(schemas) <= {"docs", "jobs", "public"}
    assert "jobs" in schemas
    hub = Hub(empty.url.render_as_string(hide_password=False), settings=settings)

    @hub.task
    def add(a: int, b: int) -> int:
        return a + b

    job = add.defer(1, 2)
    hub.run_worker(wait=False)
    assert job.result(timeout=0) == 3
    hub.close()
    empty.dispose()


def test_the_models_and_the_migrations_agree(database: str) -> None:
    import taskhub.kb.tasks
    import taskhub.mail.tasks
    import taskhub.system.tasks  # noqa: F401 - its models register themselves

    engine = create_engine(db.address(database))

    assert migrations.differences(engine, Settings()) == []
    engine.dispose()


def test_a_users_autogenerate_leaves_our_schemas_alone(database: str) -> None:
    engine = create_engine(db.address(database))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": True, "include_name": migrations.include_name}
        )
        found = compare_metadata(context, MetaData())

    assert found == []
    engine.dispose()


def test_the_pinned_sql_is_that_of_the_installed_procrastinate() -> None:
    pinned = migrations.migrations_path() / "sql" / "procrastinate_3.10.sql"

    assert pinned.read_text() == SCHEMA_SQL.read_text(), (
        f"procrastinate {procrastinate.__version__} has another schema: write a migration with its "
        "changes, pin a new copy of its SQL beside the old one, and raise the range in pyproject.toml"
    )


def test_a_worker_refuses_a_database_that_was_never_migrated(empty: Engine) -> None:
    hub = Hub(empty.url.render_as_string(hide_password=False), settings=Settings())

    with pytest.raises(migrations.SchemaBehind, match="run `taskhub db migrate`"):
        hub.run_worker(wait=False)
    hub.close()
    empty.dispose()


def test_a_worker_refuses_a_schema_that_serves_newer_ones_only(hub: Hub) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text("UPDATE taskhub.hub SET lowest_worker_version = 99"))

    with pytest.raises(migrations.SchemaBehind, match="version 99 and up"):
        hub.run_worker(wait=False)


def test_a_schema_that_is_newer_and_still_serves_is_accepted(hub: Hub) -> None:
    with hub.engine.begin() as connection:
        connection.execute(text("INSERT INTO taskhub.taskhub_version VALUES ('9999')"))

    hub.run_worker(wait=False)


def test_the_sql_can_be_printed_and_run_by_other_means(empty: Engine, pgvector: None) -> None:
    printed = migrations.offline_sql(Settings())

    with empty.connect() as connection:
        connection.connection.dbapi_connection.execute(printed)  # type: ignore[union-attr]  # psycopg's own
        connection.connection.commit()
        assert migrations.behind(connection, Settings()) is None
        assert migrations.behind(connection, Settings(), branch="kb") is None
    empty.dispose()


def test_python_and_postgres_name_the_same_states(hub: Hub) -> None:
    from procrastinate.jobs import Status

    states = names(
        hub.engine, "SELECT unnest(enum_range(NULL::taskhub.procrastinate_job_status))::text"
    )

    assert sorted(states) == sorted(status.value for status in Status)


def test_a_failure_in_the_middle_leaves_the_database_as_it_was(empty: Engine) -> None:
    with empty.begin() as connection:
        connection.execute(text("CREATE SCHEMA taskhub"))
        connection.execute(text("CREATE TABLE taskhub.workers (theirs int)"))

    with pytest.raises(Exception, match="already exists"):
        migrations.upgrade(empty, Settings())

    left = names(empty, "SELECT relname FROM pg_class WHERE relnamespace = 'taskhub'::regnamespace")
    assert left == ["workers"]
    empty.dispose()


def test_the_heads_that_a_worker_knows_are_those_of_the_scripts() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(migrations._config(Settings(), None))

    assert {
        b: script.get_revision(f"{b}@head").revision for b in migrations.HEADS
    } == migrations.HEADS
