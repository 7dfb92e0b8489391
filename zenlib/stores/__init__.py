"""Metadata stores: where records are remembered."""
