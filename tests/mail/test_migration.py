"""The migration and the models say the same."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from taskhub import db, migrations
from taskhub.accounts import codes, people
from taskhub.accounts.codes import MailCode, Purpose
from taskhub.accounts.models import Account, Invitation, Member, Tenant
from taskhub.db import KB_SCHEMA, Base
from taskhub.mail import outbox
from taskhub.mail.custom import MailBody
from taskhub.mail.outbox import OutboxMail, State
from taskhub.settings import Settings

MODELS = (Tenant, Account, Member, Invitation, MailCode, MailBody, OutboxMail)
TABLES = {model.__tablename__ for model in MODELS}


def differences(connection: Connection) -> list[Any]:
    """What alembic would still change in the mail tables."""
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "compare_type": True,
            "include_name": lambda name, kind, _: (
                name in {"table": TABLES, "schema": {KB_SCHEMA}}.get(kind, {name})
            ),
            "include_object": lambda _o, name, kind, *_: kind != "table" or name in TABLES,
        },
    )
    return list(compare_metadata(context, Base.metadata))


def test_the_models_agree_with_the_migration(connection: Connection) -> None:
    assert differences(connection) == []


def test_every_constraint_has_the_name_its_model_gives(connection: Connection) -> None:
    seen = inspect(connection)

    for name in TABLES:
        found = {seen.get_pk_constraint(name, KB_SCHEMA)["name"]}
        found |= {f["name"] for f in seen.get_foreign_keys(name, KB_SCHEMA)}
        found |= {u["name"] for u in seen.get_unique_constraints(name, KB_SCHEMA)}
        found |= {c["name"] for c in seen.get_check_constraints(name, KB_SCHEMA)}

        table = Base.metadata.tables[f"{KB_SCHEMA}.{name}"]
        assert found == {str(constraint.name) for constraint in table.constraints}


def test_python_and_postgres_know_the_same_purposes_and_states(session: Session) -> None:
    for enum, kind in ((Purpose, "mail_purpose"), (State, "mail_state")):
        labels = session.scalars(text(f"SELECT unnest(enum_range(NULL::{KB_SCHEMA}.{kind}))::text"))

        assert list(labels) == [member.value for member in enum]


def test_going_down_leaves_nothing_and_up_works_again(database: str) -> None:
    settings = Settings(database_url=database)
    engine = db.engine(db.address(database), settings)

    migrations.downgrade(engine, settings, "0003")

    with engine.connect() as connection:
        left = connection.scalars(
            text("""
                SELECT c.relname FROM pg_catalog.pg_class AS c
                WHERE c.relnamespace = CAST(:schema AS regnamespace)
                UNION ALL
                SELECT t.typname FROM pg_catalog.pg_type AS t
                WHERE t.typnamespace = CAST(:schema AS regnamespace)
            """),
            {"schema": KB_SCHEMA},
        ).all()
    gone = ("mail", "accounts", "members", "invitations")
    assert [name for name in left if any(word in name for word in gone)] == []
    migrations.upgrade(engine, settings)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


def test_the_models_work_in_a_schema_of_another_name(empty_database: str) -> None:
    settings = Settings(database_url=empty_database, kb_schema="other_kb")
    engine = db.engine(db.address(empty_database), settings)
    migrations.upgrade(engine, settings)

    with Session(engine) as session:
        account = people.create(session, "mei@example.com", "Mei")
        code = codes.issue(session, account, Purpose.verify_email, 30)
        key, message_id = outbox.identity("example.com")
        mail = OutboxMail(
            key=key, message_id=message_id, kind="login", recipient="m@x.y", language="en-US"
        )
        session.add(mail)
        session.flush()
        outbox.sending(session, {mail.id: "Hello"})

        assert codes.redeem(session, account.id, Purpose.verify_email, code.code or "")
        assert session.scalar(text("SELECT count(*) FROM other_kb.mail_outbox")) == 1
    engine.dispose()
