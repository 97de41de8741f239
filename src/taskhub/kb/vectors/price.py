"""What a request to an endpoint costs of its limit: one bucket holds for requests and for tokens."""

from dataclasses import dataclass

from taskhub.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the queue holds requests to a model of an endpoint.

    Where both requests and tokens a minute are limited, a request takes at least its share of the
    tokens: at 60 requests and 6,000 tokens a minute, 100. So neither is ever passed.

    Attributes:
        limit: the key that jobs name.
        per_minute: tokens that come in a minute; None where nothing limits them.
        least: what a request takes at least.
    """

    limit: str
    per_minute: int | None
    least: int
    counts_tokens: bool

    @classmethod
    def of(cls, model_name: str, settings: Settings) -> "Terms":
        """The terms of this model, as the settings have them."""
        requests = settings.embedding_requests_per_minute
        tokens = settings.embedding_tokens_per_minute
        return cls(
            limit=f"embedding:{model_name}",
            per_minute=tokens or requests or None,
            least=-(-tokens // requests) if tokens and requests else 1,
            counts_tokens=bool(tokens),
        )

    def price(self, tokens: int) -> int:
        """What a request with so many tokens takes."""
        return max(tokens, self.least) if self.counts_tokens else 1
