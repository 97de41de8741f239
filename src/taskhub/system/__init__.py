"""Watching over it all: monitor, notices, statistics, backup."""
