"""Imports: a file's rows are stored first, then become annotations a batch at a time."""

from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Integer, column, func, insert, select, update, values
from sqlalchemy import Row as ResultRow
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from taskhub.accounts.models import Tenant
from taskhub.kb.annotations.models import Annotation, AnnotationImport, AnnotationImportRow
from taskhub.kb.annotations.read_csv import ImportRefused, Table
from taskhub.kb.annotations.write import sha256
from taskhub.kb.apps.models import App

# A lost connection, a deadlock or a mistake of ours says nothing about a row.
NOT_A_ROW = (OperationalError, ProgrammingError)


class TooManyImports(ImportRefused):
    """The tenant had so many imports lately; nothing was stored.

    Attributes:
        retry_after_seconds: when there is room for another one.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnknownImport(LookupError):
    """There is no such import; it was never made, or is past its retention."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: where it begins in the file, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an import stands.

    Attributes:
        waiting: rows that are neither annotations yet nor bad.
        bad: every row that was left out, by line.
    """

    import_id: int
    app_id: int
    name: str
    encoding: str
    job_id: int | None
    finished: bool
    rows: int
    imported: int
    waiting: int
    bad: list[BadRow] = field(default_factory=list)


def check_rate(session: Session, tenant_id: int, *, per_minute: int, per_hour: int) -> None:
    """Let the tenant have another import now, in the transaction that stores it; 0 limits nothing.

    Raises:
        TooManyImports: it had as many within the last minute or hour.
    """
    if not per_minute and not per_hour:
        return
    # Two at once: the second one counts the first.
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
    for most, seconds, period in ((per_minute, 60, "a minute"), (per_hour, 3600, "an hour")):
        if not most:
            continue
        # The one that must grow old before there is room.
        age = session.scalar(
            select(func.extract("epoch", func.clock_timestamp() - AnnotationImport.created_at))
            .join(App, App.id == AnnotationImport.app_id)
            .where(
                App.tenant_id == tenant_id,
                AnnotationImport.created_at
                > func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, seconds),
            )
            .order_by(AnnotationImport.created_at.desc())
            .offset(most - 1)
            .limit(1)
        )
        if age is not None:
            wait = max(1.0, seconds - float(age))
            raise TooManyImports(
                f"imports of a tenant must be at most {most} {period}, got one more; "
                f"try again in {wait:.0f} s",
                wait,
            )


def store(session: Session, app_id: int, name: str, table: Table) -> AnnotationImport:
    """Keep the file's rows, good and bad, in the caller's transaction."""
    made = AnnotationImport(app_id=app_id, name=name, encoding=table.encoding)
    session.add(made)
    session.flush()
    session.execute(
        insert(AnnotationImportRow),
        [
            {
                "import_id": made.id,
                "line": row.line,
                "question": row.question,
                "answer": row.answer,
                "error": row.error,
            }
            for row in table.rows
        ],
    )
    return made


def get(session: Session, import_id: int) -> AnnotationImport:
    """The import of this id.

    Raises:
        UnknownImport: there is none.
    """
    found = session.get(AnnotationImport, import_id)
    if found is None:
        raise UnknownImport(f"import {import_id} does not exist; its app may have been deleted")
    return found


def import_batch(session: Session, import_id: int, limit: int = 500) -> int:
    """Make annotations of the next `limit` rows, in the caller's transaction; how many rows it took.

    A row that the database refuses is marked with the reason, and the others go in. Rows that were
    taken are marked in the same transaction, so that another run goes on behind them.
    """
    rows = session.execute(
        select(
            AnnotationImportRow.line,
            AnnotationImportRow.question,
            AnnotationImportRow.answer,
            AnnotationImport.app_id,
        )
        .join(AnnotationImport, AnnotationImport.id == AnnotationImportRow.import_id)
        .where(
            AnnotationImportRow.import_id == import_id,
            AnnotationImportRow.error.is_(None),
            AnnotationImportRow.done_at.is_(None),
        )
        .order_by(AnnotationImportRow.line)
        .limit(limit)
        .with_for_update(of=AnnotationImportRow)
    ).all()
    if not rows:
        return 0
    try:
        _insert(session, import_id, list(rows))
    except DBAPIError as error:
        if isinstance(error, NOT_A_ROW):
            raise
        for row in rows:
            _insert_alone(session, import_id, row)
    return len(rows)


def finish(session: Session, import_id: int) -> None:
    """Note that all its rows were tried, in the caller's transaction."""
    get(session, import_id).finished_at = func.now()
    session.flush()


def report(session: Session, import_id: int) -> Report:
    """How the import stands, with every bad row.

    Raises:
        UnknownImport: there is none.
    """
    found = get(session, import_id)
    mine = AnnotationImportRow.import_id == import_id
    total, imported, bad = session.execute(
        select(
            func.count(),
            func.count().filter(AnnotationImportRow.done_at.is_not(None)),
            func.count().filter(AnnotationImportRow.error.is_not(None)),
        ).where(mine)
    ).one()
    lines = session.execute(
        select(AnnotationImportRow.line, AnnotationImportRow.error)
        .where(mine, AnnotationImportRow.error.is_not(None))
        .order_by(AnnotationImportRow.line)
    ).all()
    return Report(
        import_id=import_id,
        app_id=found.app_id,
        name=found.name,
        encoding=found.encoding,
        job_id=found.job_id,
        finished=found.finished_at is not None,
        rows=total,
        imported=imported,
        waiting=total - imported - bad,
        bad=[BadRow(line, reason or "") for line, reason in lines],
    )


def _insert(session: Session, import_id: int, rows: list[ResultRow[int, str, str, int]]) -> None:
    with session.begin_nested():
        ids = session.scalars(
            insert(Annotation).returning(Annotation.id, sort_by_parameter_order=True),
            [
                {
                    "app_id": row.app_id,
                    "question": row.question,
                    "answer": row.answer,
                    "sha256": sha256(row.question),
                }
                for row in rows
            ],
        ).all()
        made = values(
            column("line", Integer), column("annotation_id", BigInteger), name="made"
        ).data([(row.line, annotation_id) for row, annotation_id in zip(rows, ids, strict=True)])
        session.execute(
            update(AnnotationImportRow)
            .where(
                AnnotationImportRow.import_id == import_id,
                AnnotationImportRow.line == made.c.line,
            )
            .values(annotation_id=made.c.annotation_id, done_at=func.now()),
            execution_options={"synchronize_session": False},
        )


def _insert_alone(session: Session, import_id: int, row: ResultRow[int, str, str, int]) -> None:
    try:
        _insert(session, import_id, [row])
    except DBAPIError as error:
        if isinstance(error, NOT_A_ROW):
            raise
        session.execute(
            update(AnnotationImportRow)
            .where(AnnotationImportRow.import_id == import_id, AnnotationImportRow.line == row.line)
            .values(error=str(error.orig).splitlines()[0])
        )
