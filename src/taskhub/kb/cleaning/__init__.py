"""Removal of what is no longer wanted: batches of bounded size, the same whoever owns the rows."""
