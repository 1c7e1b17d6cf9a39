"""Triggers of deferrable operators."""
