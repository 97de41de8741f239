"""Datasets: documents that are searched together, under one embedding model."""
