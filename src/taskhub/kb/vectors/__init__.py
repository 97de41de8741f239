"""Vectors: embedding texts, keeping the vectors, searching them."""
