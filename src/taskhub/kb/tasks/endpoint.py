"""Requests to an embedding endpoint, held by the queue's own limits: each is made by a job of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointRefused
from taskhub.kb.vectors.price import Terms
from taskhub.kb.vectors.remote import Remote
from taskhub.queue import Breaker, Context, Fail, Hub, Throttled

# For an endpoint that says "too many" without saying for how long.
PAUSE_SECONDS = 20.0

_ruled: WeakKeyDictionary[Hub, set[Terms]] = WeakKeyDictionary()


def terms(hub: Hub, model: Embedder | None) -> Terms | None:
    """What jobs that ask this model are held to; None for one that runs here, which needs no limit."""
    return Terms.of(model.name, hub.settings) if isinstance(model, Remote) else None


def hold(hub: Hub, held: Terms) -> None:
    """Have the fleet keep these terms; once for each hub, since they are the settings'.

    Without rates in the settings, what `taskhub limits set` said of the key stays.
    """
    if held in _ruled.setdefault(hub, set()):
        return
    if held.per_minute is not None or all(limit.name != held.limit for limit in hub.limits()):
        hub.limit(
            held.limit,
            at_most=hub.settings.embedding_at_once,
            per_minute=held.per_minute,
            feedback=True,
            breaker=Breaker(),
        )
    _ruled[hub].add(held)


@contextmanager
def asking(ctx: Context, held: Terms, model: Remote, reserved_tokens: int) -> Iterator[None]:
    """Make requests in here, from a job with these terms: what they took is settled.

    "Too many" pauses the limit and costs the job no attempt; a refusal for good ends it.
    """
    ignored = model.tokens_used  # of somebody's earlier requests in this thread
    del ignored
    try:
        yield
    except EndpointBusy as busy:
        raise Throttled(PAUSE_SECONDS if busy.retry_after is None else busy.retry_after) from busy
    except EndpointRefused as refusal:
        raise Fail(str(refusal)) from refusal
    # An endpoint that does not count is taken at our own count.
    ctx.settle(held.limit, held.price(model.tokens_used or reserved_tokens))
