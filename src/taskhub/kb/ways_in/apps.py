"""What is asked of apps, and deferred in the transaction that makes it necessary."""

from taskhub.kb.cleaning import hide
from taskhub.kb.tasks.cleaning import clean_app
from taskhub.queue import Hub


def delete_app(hub: Hub, app_id: int) -> int | None:
    """Let an app answer nothing at once and remove it in the background; the job, None if it is gone."""
    with hub.transaction() as session:
        if not hide.hide_app(session, app_id):
            return None
        return clean_app.options(session=session).defer(app_id).id
