"""Apps as a screen lists them, with what they answer by."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.accounts.models import Tenant
from taskhub.kb.annotations.models import Annotation, AnnotationSetting
from taskhub.kb.apps.models import App

# Annotations of one app are counted up to here.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLine:
    """One app.

    Attributes:
        annotations: as they are counted; MOST_COUNTED stands for that many or more.
        answers: whether it answers by annotations.
        score_threshold: how near a question must be; None where it does not answer by annotations.
    """

    app_id: int
    tenant: str
    name: str
    annotations: int
    answers: bool
    score_threshold: float | None


def page(session: Session, *, after_id: int = 0, limit: int = 50) -> list[AppLine]:
    """The apps of all tenants by id, from behind `after_id` on; not those that are being deleted."""
    some = (
        select(Annotation.id)
        .where(Annotation.app_id == App.id)
        .limit(MOST_COUNTED)
        .correlate(App)
        .subquery()
    )
    annotations = select(func.count()).select_from(some).scalar_subquery()
    rows = session.execute(
        select(
            App.id.label("app_id"),
            Tenant.name.label("tenant"),
            App.name,
            annotations.label("annotations"),
            func.coalesce(AnnotationSetting.enabled, False).label("answers"),
            AnnotationSetting.score_threshold,
        )
        .join(Tenant, Tenant.id == App.tenant_id)
        .outerjoin(AnnotationSetting, AnnotationSetting.app_id == App.id)
        .where(App.id > after_id, App.deleted_at.is_(None))
        .order_by(App.id)
        .limit(limit)
    )
    return [AppLine(**row) for row in rows.mappings()]
