import enum

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from taskhub import Hub, db, migrations
from taskhub.db import Base
from taskhub.kb import models
from taskhub.kb.documents.add import add
from taskhub.kb.documents.state import status
from taskhub.settings import Settings
from tests.kb.makers import make_dataset, make_indexed


def test_the_models_and_the_migrated_tables_agree(session: Session) -> None:
    ours = {getattr(models, name).__tablename__ for name in models.__all__ if _is_table(name)}

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return name == "taskhub_kb" if kind == "schema" else kind != "table" or name in ours

    found = MigrationContext.configure(
        session.connection(),
        opts={
            "include_schemas": True,
            "compare_type": True,
            "compare_server_default": True,
            "include_name": is_ours,
            "include_object": lambda thing, name, kind, *_: kind != "table" or name in ours,
        },
    )

    assert compare_metadata(found, Base.metadata) == []


def _is_table(name: str) -> bool:
    return issubclass(getattr(models, name), Base)


@pytest.mark.parametrize(
    ("type_name", "members"),
    [
        ("dataset_technique", models.Technique),
        ("document_state", models.DocumentState),
        ("segment_state", models.SegmentState),
    ],
)
def test_an_enum_has_the_same_members_in_python_and_in_postgres(
    session: Session, type_name: str, members: type[enum.StrEnum]
) -> None:
    stored = session.scalars(text(f"SELECT unnest(enum_range(NULL::taskhub_kb.{type_name}))::text"))

    assert list(stored) == [member.value for member in members]


def test_the_knowledge_base_goes_and_comes_back_without_the_queue(hub: Hub) -> None:
    migrations.downgrade(hub.engine, hub.settings, "kb@base")
    assert inspect(hub.engine).get_table_names(schema="taskhub_kb") == []
    assert inspect(hub.engine).has_table("procrastinate_jobs", schema="taskhub")

    migrations.upgrade(hub.engine, hub.settings)

    assert "documents" in inspect(hub.engine).get_table_names(schema="taskhub_kb")


def test_both_schemas_can_have_other_names(empty_database: str) -> None:
    settings = Settings(database_url=empty_database, schema="jobs", kb_schema="library")
    engine = db.engine(db.address(empty_database), settings)
    migrations.upgrade(engine, settings)

    with Session(engine) as session, session.begin():
        dataset = make_dataset(session)
        indexed = make_indexed(session, dataset, "otters swim")
        waiting = add(session, dataset, name="a.txt", content=b"x")
        shown = [status(session, document.id).shown for document in (indexed, waiting)]

    engine.dispose()
    assert shown == ["completed", "interrupted at waiting, has no job"]
