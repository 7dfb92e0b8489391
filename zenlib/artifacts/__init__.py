"""Artifact stores: where the bytes of artifacts lie."""
