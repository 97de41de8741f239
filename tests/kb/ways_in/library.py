"""A dataset, its hub and its folder of files, as a test asks for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from taskhub import Hub
from taskhub.kb.documents import state
from taskhub.kb.documents.models import Document
from taskhub.kb.search import Mode, search
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.models import Embedding
from taskhub.kb.vectors.store import tables
from taskhub.kb.ways_in import documents
from taskhub.queue import Job


@dataclass(frozen=True)
class Library:
    """What a test does with a dataset whose documents a worker indexes."""

    hub: Hub
    dataset_id: int
    folder: Path

    def work(self) -> None:
        """Run what is deferred until nothing waits."""
        self.hub.run_worker(wait=False)

    def write(self, name: str, content: str) -> Path:
        """A file of the folder."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def add(self, name: str, content: str) -> int:
        """A document that is indexed."""
        document_id = documents.add_document(self.hub, self.dataset_id, self.write(name, content))
        self.work()
        return document_id

    def find(self, question: str, mode: Mode = Mode.TEXT) -> list[str]:
        """The texts that are found."""
        with self.hub.transaction() as session:
            hits = search(session, question, [self.dataset_id], mode=mode, limit=10)
        return [hit.text for hit in hits]

    def status(self, document_id: int) -> state.DocumentStatus:
        """Where a document stands."""
        with self.hub.transaction() as session:
            return state.status(session, document_id)

    def segments(self, document_id: int) -> list[Segment]:
        """The segments of a document by position."""
        with self.hub.transaction() as session:
            found = session.scalars(
                select(Segment).where(Segment.document_id == document_id).order_by(Segment.position)
            ).all()
            session.expunge_all()
        return list(found)

    def document(self, document_id: int) -> Document:
        """The row of a document."""
        with self.hub.transaction() as session:
            found = session.get_one(Document, document_id)
            session.expunge_all()
        return found

    def count(self, model: Any, **values: object) -> int:
        """How many rows of a kind there are."""
        with self.hub.transaction() as session:
            return session.scalar(select(func.count()).select_from(model).filter_by(**values)) or 0

    def vectors(self) -> int:
        """How many vectors there are, in whichever tables the server can have."""
        with self.hub.transaction() as session:
            return sum(
                session.scalar(select(func.count()).select_from(table)) or 0
                for table in tables(session)
            )

    def embedded(self) -> int:
        """How many texts were embedded so far."""
        return self.count(Embedding)

    def job(self, job_id: int | None) -> Job[object]:
        """A job."""
        assert job_id is not None
        return Job(job_id, "", self.hub)

    def failure(self, job_id: int | None) -> str:
        """What a job's last run said."""
        [*_, last] = self.job(job_id).attempts()
        return last.error_message or ""

    def jobs(self) -> list[str]:
        """The tasks of the jobs that have not ended, by id."""
        with self.hub.transaction() as session:
            return list(
                session.scalars(
                    text(
                        "SELECT task_name FROM taskhub.procrastinate_jobs"
                        " WHERE status IN ('todo', 'doing') ORDER BY id"
                    )
                )
            )

    def broken(self, document_id: int, condition: str) -> None:
        """Change a document's row by hand, as only a fault would."""
        with self.hub.transaction() as session:
            session.execute(
                text(f"UPDATE taskhub_kb.documents SET {condition} WHERE id = {document_id}")
            )
