"""Tenants: who owns datasets."""
