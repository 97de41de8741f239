"""Annotations: answers that were written by hand, given where a question fits."""
