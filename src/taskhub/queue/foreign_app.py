"""A procrastinate App as a hub: its tasks run on our worker as they would on its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from procrastinate import App
from sqlalchemy.engine import URL

from taskhub import settings as settings_module
from taskhub.db import NoDatabase
from taskhub.queue.foreign_database import place_of
from taskhub.queue.foreign_task import AppTask
from taskhub.queue.foreign_worker import StandIn
from taskhub.queue.hub import Hub
from taskhub.queue.task import Task
from taskhub.settings import Settings

if TYPE_CHECKING:
    from taskhub.queue.worker import Worker

DEFAULT_SCHEMA = "taskhub"


def wrap(app: App, database_url: str | None = None, *, settings: Settings | None = None) -> AppHub:
    """A hub that runs the App's tasks; from then on `app.run_worker` runs our worker, too.

    The database is `database_url`, else what the App's connector says, else the settings'. The
    schema is the settings' where one is set, else the first of the connector's search_path, else
    `public`, where procrastinate's tables are if nobody says otherwise.
    """
    hub = AppHub(app, database_url, settings)

    def stand_in(**options: Any) -> StandIn:
        return StandIn(hub, app, **{**app.worker_defaults, **options})

    app._worker = stand_in  # type: ignore[method-assign]  # noqa: SLF001 - the seam that procrastinate has
    return hub


class AppHub(Hub):
    """The hub of one App; tasks that the App gets later are the hub's, too."""

    def __init__(self, app: App, database_url: str | None, settings: Settings | None) -> None:
        self.app = app
        self._known: dict[str, Task[..., Any]] = {}
        self._seen = 0
        self._place = place_of(app.connector)
        url = database_url or (self._place.url if self._place else None)
        super().__init__(url, settings=settings)

    @cached_property
    def settings(self) -> Settings:
        """As of every hub, with the schema in which the App's connector works."""
        found = self._settings or settings_module.load({"database_url": self._database_url})
        if "schema" in found.sources or found.schema != DEFAULT_SCHEMA:
            return found
        named = self._place.schema if self._place else None
        return replace(found, schema=named or "public")

    @cached_property
    def url(self) -> URL:
        """The database's address.

        Raises:
            NoDatabase: none was given and the App's connector does not say.
        """
        if not self._database_url and not self.settings.database_url:
            raise NoDatabase(
                f"the database of an App with a {type(self.app.connector).__name__} cannot be read from "
                "it; pass one: Hub.from_procrastinate(app, database_url='postgresql://user@host/name')"
            )
        return super().url

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """The App's tasks under all their names, and those declared on the hub itself."""
        if len(self.app.tasks) != self._seen:
            wrapped: dict[int, AppTask] = {}
            for name, theirs in self.app.tasks.items():
                task = wrapped.setdefault(id(theirs), AppTask.of(theirs, self))
                self._known.setdefault(name, task)
            self._seen = len(self.app.tasks)
        return self._known

    @tasks.setter
    def tasks(self, value: dict[str, Task[..., Any]]) -> None:
        self._known = value

    def worker(self, **options: Any) -> Worker:
        """A worker for the App's tasks; the App's worker_defaults hold where nothing is said."""
        self.app.perform_import_paths()  # type: ignore[no-untyped-call]  # procrastinate's
        given = {key: value for key, value in options.items() if value is not None}
        signals = given.pop("signals", False)
        merged = {"concurrency": self.settings.concurrency, **self.app.worker_defaults, **given}
        if self.settings.sources.get("concurrency") == "flag" and "concurrency" not in given:
            merged["concurrency"] = self.settings.concurrency
        return StandIn(self, self.app, **merged).our_worker(signals=signals)
