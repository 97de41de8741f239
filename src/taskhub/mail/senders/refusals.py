"""Why a mail did not leave."""


class PermanentRefusal(Exception):
    """The server will never take this mail; another try would not help."""


class TransientRefusal(Exception):
    """The mail was not taken now; the same mail may be taken later.

    `doubtful` when the connection ended before the answer: it may have been taken after all.
    """

    def __init__(self, reason: str, *, doubtful: bool = False) -> None:
        super().__init__(reason)
        self.doubtful = doubtful


class Unreachable(TransientRefusal):
    """Nothing was said of this mail: there is no server to say it to, or none that lets us in."""


Answer = PermanentRefusal | TransientRefusal | None
