"""Which hub a command runs: the one that is named, or the built-in knowledge base."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

from procrastinate import App

from taskhub.queue import Hub, foreign_app
from taskhub.settings import Settings

BUILT_IN = "taskhub.app:hub"
# The families of tasks that the built-in hub holds: module, attribute, the extra it needs.
FAMILIES = (
    ("taskhub.kb.tasks", "kb", "kb"),
    ("taskhub.mail.tasks", "mail", "mail"),
    ("taskhub.system.tasks", "system", "kb"),
)

hub: Hub  # made at first use, see __getattr__


class AppImportFailed(RuntimeError):
    """The named app could not be imported or is no hub.

    Attributes:
        told: the user's own exception with its frame, or empty where there was none.
    """

    def __init__(self, message: str, told: str = "") -> None:
        super().__init__(message)
        self.told = told


class BuiltInHub(Hub):
    """The knowledge base and the mails on one hub.

    Attributes:
        left_out: one line for each family of tasks whose extra is not installed.
    """

    # However it was built: a child process makes it anew from the settings it is handed.
    importable_as = ("taskhub.app", "hub")
    left_out: tuple[str, ...] = ()


def build(settings: Settings | None = None) -> BuiltInHub:
    """The built-in hub; a family whose extra is missing is left out and told in `left_out`."""
    built = BuiltInHub(settings=settings)
    left_out = []
    for module, attribute, extra in FAMILIES:
        try:
            built.add(getattr(importlib.import_module(module), attribute))
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "taskhub":
                raise  # our own mistake, no missing extra
            left_out.append(
                f"the tasks of {attribute} are left out: {error.name} is not installed; "
                f"run `pip install 'taskhub[{extra}]'`"
            )
    if "queue_monitor" in built.tasks:
        from taskhub.system.schedules import switch_on

        switch_on(built)
    built.left_out = tuple(left_out)
    return built


def find(settings: Settings) -> tuple[Hub, str]:
    """The hub that `settings.app` names, as module:attribute or dotted, and how it is called.

    The working directory is put on sys.path. Without a name it is the built-in hub. A procrastinate
    App comes wrapped in a hub.

    Raises:
        AppImportFailed: it cannot be imported, is not there, or is no hub.
    """
    if settings.app is None or settings.app == BUILT_IN:
        # Under this name a child process imports it, for the tasks that run in one.
        globals()["hub"] = built = build(settings)
        return built, BUILT_IN
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module_name, attributes = _split(settings.app)
    module = _imported(module_name, settings.app)
    found: Any = module
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppImportFailed(_no_attribute(module, name, settings.app)) from None
    if isinstance(found, App):
        found = foreign_app.wrap(found, settings=settings)
    if not isinstance(found, Hub):
        raise AppImportFailed(_no_hub(found, settings.app))
    return found, f"{module_name}:{attributes}"


def adjust(hub: Hub, **changes: Any) -> None:
    """Let flags win over the settings that a hub was made with; closes what it had opened."""
    sources = {**hub.settings.sources, **dict.fromkeys(changes, "flag")}
    settings = dataclasses.replace(hub.settings, **changes, sources=sources)
    hub.close()
    if "database_url" in changes:
        hub._database_url = None  # noqa: SLF001 - a url in the user's code gives way to the flag
    hub._settings = settings  # noqa: SLF001 - as above
    for cached in ("settings", "url", "engine", "autocommit", "_deferrer"):
        hub.__dict__.pop(cached, None)


def names_database(hub: Hub) -> bool:
    """Whether the hub's code or its settings name a database."""
    return bool(hub._database_url or hub.settings.database_url)  # noqa: SLF001 - asked without opening it


def __getattr__(name: str) -> Any:
    if name != "hub":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["hub"] = made = build()
    return made


def _split(app: str) -> tuple[str, str]:
    module, mark, attributes = app.partition(":")
    if not mark:
        module, _, attributes = app.rpartition(".")
    if not module or not attributes:
        raise AppImportFailed(f"app must be module:attribute, got {app!r}")
    return module, attributes


def _imported(module_name: str, app: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise AppImportFailed(f"app {app!r} could not be imported", _told(error)) from error


def _told(error: BaseException) -> str:
    """The exception with the user's frames: without ours and those of the import system."""
    told = traceback.TracebackException.from_exception(error)
    theirs = [f for f in told.stack if f.filename != __file__ and "importlib" not in f.filename]
    told.stack = traceback.StackSummary.from_list(theirs)
    return "".join(told.format()).rstrip()


def _no_attribute(module: Any, name: str, app: str) -> str:
    hubs = [key for key, value in vars(module).items() if isinstance(value, Hub)]
    hint = f"; it has the hub {', '.join(hubs)}" if hubs else "; it has no hub at all"
    return f"app {app!r} names {name!r}, which {module.__name__} does not have{hint}"


def _no_hub(found: Any, app: str) -> str:
    kind = f"{type(found).__module__}.{type(found).__qualname__}"
    if callable(found):
        return f"app must be a taskhub.Hub, got {kind} in {app!r}; name the hub itself, not what makes it"
    return f"app must be a taskhub.Hub, got {kind} in {app!r}"
