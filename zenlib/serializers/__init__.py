"""Serializers: how values of one kind become files and JSON, and come back."""
