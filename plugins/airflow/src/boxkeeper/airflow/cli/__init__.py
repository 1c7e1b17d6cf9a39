"""The commands `airflow boxkeeper ...`."""
