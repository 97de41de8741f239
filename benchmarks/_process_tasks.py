"""The task of `process_executor`, in a module of its own: children import it."""

from taskhub import Hub

hub = Hub()


@hub.task(name="noop_process", queue="bench", executor="process")
def noop(n: int) -> None:
    """Do nothing, in a child."""


def plain(n: int) -> None:
    """Do nothing, for a pool of the standard library."""
