"""All settings together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskhub.settings.dashboard import DashboardSettings, check_dashboard
from taskhub.settings.kinds import BadSetting, check
from taskhub.settings.knowledge import KnowledgeSettings
from taskhub.settings.mail import MailSettings, check_brand
from taskhub.settings.queue import QueueSettings
from taskhub.settings.system import SystemSettings, check_notices, check_objectives
from taskhub.settings.telemetry import TelemetrySettings, check_buckets

# Never shown: `config show` and every error print stars for them.
SECRETS = frozenset(
    {
        "smtp_password",
        "embedding_api_key",
        "secret_keys",
        "notice_webhook_url",
        "notice_webhook_secret",
        "notice_apprise_urls",
        "dashboard_secret",
        "sentry_dsn",
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings(
    TelemetrySettings,
    DashboardSettings,
    SystemSettings,
    MailSettings,
    KnowledgeSettings,
    QueueSettings,
):
    """What can be set: by flag, else TASKHUB_*, else pyproject.toml or taskhub.toml, else the default."""

    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        check(self)
        check_notices(self)
        check_buckets(self)
        check_objectives(self)
        check_brand(self)
        check_dashboard(self)
        for name in ("schema", "kb_schema"):
            # The name goes into SQL text and into search_path, unquoted.
            if not getattr(self, name).isidentifier() or not getattr(self, name).islower():
                raise BadSetting(
                    f"{name} must be a lower-case SQL name, got {getattr(self, name)!r}"
                )
        if self.schema == self.kb_schema:
            raise BadSetting(f"schema and kb_schema must differ, got {self.schema!r} twice")
        if not 0 <= self.segment_overlap_tokens < self.segment_tokens:
            raise BadSetting(
                "segment_overlap_tokens must be from 0 to below segment_tokens, "
                f"got {self.segment_overlap_tokens} of {self.segment_tokens}"
            )
