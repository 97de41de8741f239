"""What an embedding endpoint may answer instead of vectors."""


class EndpointBusy(RuntimeError):
    """The endpoint said 429, or 503 with a time: nothing is wrong with the texts.

    Attributes:
        retry_after: seconds that it asked for; None where it named none.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EndpointFailed(RuntimeError):
    """The endpoint could not answer now: a 5xx, no connection, no answer in time."""


class EndpointRefused(RuntimeError):
    """The endpoint will never take this: a 4xx, or an answer that is none."""


class TextsRefused(EndpointRefused):
    """The endpoint takes requests, but none with these texts."""
