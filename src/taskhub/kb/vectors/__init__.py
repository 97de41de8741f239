"""Vectors: embedding texts, keeping the vectors."""
