"""Changes that an operator asks for, to jobs that ended without success or have not ended.

Jobs are named by their ids, or frozen: what a filter fits at one moment is previewed, and just that
is changed.
"""

from taskhub.queue.actions.chosen import Cancelled, Retried, cancel, cancel_within, retry
from taskhub.queue.actions.frozen import Frozen, freeze, thaw
from taskhub.queue.actions.many import Done, cancel_frozen, retry_failed, retry_frozen

__all__ = [
    "Cancelled",
    "Done",
    "Frozen",
    "Retried",
    "cancel",
    "cancel_frozen",
    "cancel_within",
    "freeze",
    "retry",
    "retry_failed",
    "retry_frozen",
    "thaw",
]
