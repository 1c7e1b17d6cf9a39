"""Connections to boxkeeperd."""
