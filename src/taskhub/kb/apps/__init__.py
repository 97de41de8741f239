"""Apps: what answers people, from datasets and annotations."""
