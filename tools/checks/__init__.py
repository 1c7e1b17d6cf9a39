"""The steps of tools/test: each returns a Result; main.py orders them and prints the table."""
