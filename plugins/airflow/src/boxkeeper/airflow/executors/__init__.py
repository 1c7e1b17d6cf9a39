"""SandboxExecutor for Airflow. Importing this package imports neither Airflow nor gRPC."""
