"""Knowledge base: ask it, by meaning, by words or by both, and see the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session
from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.routing import screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

if TYPE_CHECKING:
    from taskhub.kb.search.search import Hit

MODES = {"hybrid": mark("both"), "vector": mark("by meaning"), "text": mark("by words")}
MOST_DATASETS = 200
HITS = 10


def ask(visit: Visit) -> Response:
    """The passages that answer the question best; the address holds all of what was asked."""
    from taskhub.kb.datasets import listing

    mode = asking.choice(visit, "mode", MODES) or "hybrid"
    question = visit.asked("q")
    chosen = asking.number(visit, "dataset")
    with Session(visit.reader.engine) as session:
        datasets = listing.page(session, limit=MOST_DATASETS)
        ids = [chosen] if chosen is not None else [one.dataset_id for one in datasets]
        hits, refusal = _hits(visit, session, question, ids, mode)
    return visit.page(
        "search.html", live=False, question=question, mode=mode, modes=MODES, datasets=datasets,
        chosen=chosen, hits=hits, refusal=refusal,
    )  # fmt: skip


def _hits(
    visit: Visit, session: Session, question: str, ids: list[int], mode: str
) -> tuple[list[Hit], str]:
    if not question or not ids:
        return [], ""
    try:
        # The model and what reads it come with an extra, as the words of Chinese do.
        from taskhub.kb.search import SearchTimeout, search
        from taskhub.kb.vectors.embedders import UnknownEmbedder
        from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed, EndpointRefused
    except ModuleNotFoundError as error:
        return [], f"{error.name} is not installed; run `pip install 'taskhub[kb]'`"
    settings = visit.house.settings
    seconds = min(settings.search_timeout_seconds, settings.dashboard_query_seconds)
    endpoint = (EndpointBusy, EndpointFailed, EndpointRefused)
    try:
        found = search(
            session,
            question,
            ids,
            limit=HITS,
            mode=mode,
            timeout_seconds=seconds,
            settings=settings,
        )
    except (ValueError, SearchTimeout, UnknownEmbedder, *endpoint) as error:
        return [], str(error)
    return found, ""


ROUTES = (
    screen("/knowledge/search", needs_tables(ask), name="knowledge.search", title=mark("Search")),
)
