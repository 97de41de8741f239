"""The dashboard, asked over ASGI on a real database."""
