"""Documents: files taken in, read, cleaned, and where each stands."""
