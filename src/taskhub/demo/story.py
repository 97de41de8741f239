"""The demo's chapters, in order; each counts what it shows."""

import json
import secrets
from pathlib import Path
from typing import Any

from taskhub.demo import library, mails
from taskhub.demo.postbox import open_postbox
from taskhub.demo.screen import Screen
from taskhub.demo.stage import DemoBroken, Stage, environment, open_stage
from taskhub.kb.documents.state import Condition
from taskhub.kb.documents.walk import walk
from taskhub.queue import Hub

QUESTIONS = (
    "What do I have to do when my work laptop has been stolen?",
    "Can the battery charge at night when electricity is cheap?",
    "周末加班可以怎么调休？",
)
CLEANED = 5


class BadFolder(ValueError):
    """The folder of documents cannot be used."""


def tell(hub: Hub, folder: Path, questions: tuple[str, ...], screen: Screen) -> dict[str, Any]:
    """Play all chapters on the hub's migrated database; what was counted, as JSON can hold it.

    Raises:
        BadFolder: there are no files in `folder`.
        DemoBroken: something did not happen that the demo is there to show.
    """
    paths = [found.path for found in walk(folder) if found.error is None]
    if not folder.is_dir() or not paths:
        raise BadFolder(f"the folder of documents must hold files, got {str(folder)!r}")
    counted: dict[str, Any] = {}
    with open_postbox() as postbox, open_stage(hub, screen, smtp_port=postbox.port) as stage:
        counted |= _documents(stage, paths, questions)
        counted |= mails.committed_and_rolled_back(stage, postbox, secrets.token_hex(3))
        counted |= mails.failed_and_brought_back(stage, postbox, secrets.token_hex(3))
        counted |= _cleaned(stage, paths[:CLEANED])
        counted["mails"] = len(postbox.mails)
    counted["database_url"] = environment(hub)["TASKHUB_DATABASE_URL"]
    return counted


def _documents(stage: Stage, paths: list[Path], questions: tuple[str, ...]) -> dict[str, Any]:
    screen = stage.screen
    screen.heading(1, f"{len(paths)} documents become findable")
    dataset_id = library.fresh_dataset(stage, "handbook")
    library.store(stage, dataset_id, paths)
    documents = library.index(stage, dataset_id, len(paths))
    segments = sum(document.segments_total for document in documents)
    failed = [document for document in documents if document.condition is not Condition.COMPLETED]
    screen.good(f"{len(documents) - len(failed)} documents in {segments} segments")
    for document in failed:
        screen.line(f"  not indexed: {document.name}: {document.shown}")
    if len(failed) == len(documents):
        raise DemoBroken("none of the documents could be indexed")

    screen.heading(2, "Questions find their passages")
    hits = {}
    for question in questions:
        found = library.ask(stage.hub, dataset_id, question)
        library.show_hits(stage, question, found)
        hits[question] = len(found)
    return {
        "dataset_id": dataset_id,
        "documents": len(documents),
        "documents_failed": len(failed),
        "segments": segments,
        "hits": hits,
    }


def _cleaned(stage: Stage, paths: list[Path]) -> dict[str, Any]:
    screen = stage.screen
    screen.heading(5, "A dataset is cleaned away")
    dataset_id = library.fresh_dataset(stage, "to be cleaned")
    library.store(stage, dataset_id, paths)
    library.index(stage, dataset_id, len(paths))
    before = library.rows(stage.hub, dataset_id)
    library.remove(stage, dataset_id)
    after = library.rows(stage.hub, dataset_id)
    cleaned = [name for name in before if before[name] or after[name]]
    for name in cleaned:
        screen.line(f"  {name:<16} {before[name]:>7} -> {after[name]}")
    if any(after.values()) or not any(before.values()):
        raise DemoBroken("rows of the dataset are left")
    screen.good("nothing of it is left; the cache of embeddings, which others share, stays")
    return {
        "rows_before": {name: before[name] for name in cleaned},
        "rows_after": {name: after[name] for name in cleaned},
    }


def last_line(counted: dict[str, Any]) -> str:
    """The one line that a script reads."""
    return json.dumps(counted, ensure_ascii=False)
