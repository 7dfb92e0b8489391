"""Embedded ML pipelines."""
