"""The Airflow provider of Boxkeeper. Modules are cheap to import; what needs gRPC is imported where it is used."""
