"""Orchestrators: where and when the nodes of a plan run."""
