"""Segments: the passages a document is cut into."""
