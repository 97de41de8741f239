"""The dashboard in a real browser, with a real server, a real worker and a real database."""
