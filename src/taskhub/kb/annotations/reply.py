"""Whether an app answers by its annotations: one row of settings, changed in one transaction."""

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.annotations.models import AnnotationSetting
from taskhub.kb.apps.models import App


class BadThreshold(ValueError):
    """The threshold is no number above 0 and at most 1."""


def check_threshold(score_threshold: float) -> None:
    """Refuse what no score can be compared with.

    Raises:
        BadThreshold: it is not above 0 and at most 1.
    """
    if not 0 < score_threshold <= 1:
        raise BadThreshold(f"threshold must be above 0 and at most 1, got {score_threshold}")


def setting(session: Session, app_id: int) -> AnnotationSetting | None:
    """What is in force, or None: the app answers by no annotation, or is being deleted."""
    app = session.get(App, app_id)
    if app is None or app.deleted_at is not None:
        return None
    found = session.get(AnnotationSetting, app_id)
    return found if found is not None and found.enabled else None


def switch_on(session: Session, app_id: int, score_threshold: float, model: str) -> None:
    """Answer by vectors of this model from the caller's commit on; those of another count no more.

    Raises:
        BadThreshold: as `check_threshold`.
    """
    check_threshold(score_threshold)
    new = insert(AnnotationSetting).values(
        app_id=app_id, enabled=True, score_threshold=score_threshold, embedding_model=model
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["app_id"],
            set_={
                "enabled": True,
                "score_threshold": new.excluded.score_threshold,
                "embedding_model": new.excluded.embedding_model,
            },
        )
    )


def switch_off(session: Session, app_id: int) -> bool:
    """Answer by no annotation from the caller's commit on; False if it did not before."""
    return bool(
        session.execute(
            update(AnnotationSetting)
            .where(AnnotationSetting.app_id == app_id, AnnotationSetting.enabled)
            .values(enabled=False)
            .returning(AnnotationSetting.app_id)
        ).all()
    )
