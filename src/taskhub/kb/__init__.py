"""The knowledge base: documents become segments, segments become vectors, questions find passages."""
