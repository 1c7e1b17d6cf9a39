"""The API's messages and stubs, generated from proto/boxkeeper/v1 by tools/python_stubs --commit. Do not edit."""
