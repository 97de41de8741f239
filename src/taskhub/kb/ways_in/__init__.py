"""The ways in: each stores what makes the work necessary and defers it in one transaction."""
