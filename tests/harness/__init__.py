"""Runs real Boxkeeper processes for the tests: see daemon.Daemon and client.Client."""
