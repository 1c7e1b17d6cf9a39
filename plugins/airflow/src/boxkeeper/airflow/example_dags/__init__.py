"""Examples, to be copied. Each is run by a test."""
