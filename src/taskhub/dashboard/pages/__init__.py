"""The screens, one a file; each file's ROUTES are part of the dashboard once it is named here."""

from taskhub.dashboard.pages import entrance, overview, plumbing
from taskhub.dashboard.routing import Route

PAGES: tuple[Route, ...] = (*overview.ROUTES, *entrance.ROUTES, *plumbing.ROUTES)
