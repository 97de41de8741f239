"""Why a notice did not leave."""


class UnknownSink(LookupError):
    """The settings name no such sink."""


class Refused(Exception):
    """The sink did not take the notice.

    Attributes:
        is_final: another try would not help, until somebody changes a setting.
        retry_after_seconds: what the receiver asked for, if it did.
    """

    def __init__(
        self, reason: str, *, is_final: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after_seconds = retry_after_seconds
